//! What the user wrote: the scene file.
