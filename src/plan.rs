//! What was validated: a scene with every derived size. After `plan` nothing is validated again.
