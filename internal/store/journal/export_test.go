package journal

// Peek returns the number of the newest record, from within Append.
func (j *Journal) Peek() uint64 { return j.last - 1 }

// SpillAll writes what waits in memory, however little it is.
func (j *Journal) SpillAll() error {
	j.spilling.Store(true)
	return j.Spill()
}
