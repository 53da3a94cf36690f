//! Stimuli: gratings and grey screens, and the LGN units that see them.
