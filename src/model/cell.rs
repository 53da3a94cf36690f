//! Cell parameters and one exact time step of one cell, generic over the real type.
