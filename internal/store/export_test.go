package store

// Checkpoint takes a checkpoint at once. It must not run beside one that the store takes by itself.
func (s *Store) Checkpoint() error { return s.checkpoint() }
