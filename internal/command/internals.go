package command

// evalLen answers how many keys the tablet holds.
func evalLen(v View, _ [][]byte, out []byte) []byte { return appendInt(out, v.Len()) }

// evalClear removes all keys of the tablet.
func evalClear(v View, _ [][]byte, out []byte) []byte {
	v.Clear()
	return appendOK(out)
}
