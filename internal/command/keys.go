package command

func evalDel(v View, args [][]byte, out []byte) []byte {
	var n int64
	for _, key := range args[1:] {
		if _, found := v.Get(key); found {
			v.Delete(key)
			n++
		}
	}
	return appendInt(out, n)
}

// evalExists counts a key as often as it is named.
func evalExists(v View, args [][]byte, out []byte) []byte {
	var n int64
	for _, key := range args[1:] {
		if _, found := v.Get(key); found {
			n++
		}
	}
	return appendInt(out, n)
}

func evalType(v View, args [][]byte, out []byte) []byte {
	r, found := v.Get(args[1])
	if !found {
		return appendSimple(out, "none")
	}
	return appendSimple(out, r.Kind.String())
}
