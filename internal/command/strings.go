package command

import (
	"strconv"

	"github.com/quorddb/quord/internal/record"
)

// stringAt returns the live string at key. ok is false where the key holds something else; found is false where
// there is nothing.
func stringAt(v View, key []byte) (r record.Record, found, ok bool) {
	r, found = v.Get(key)
	return r, found, !found || r.Kind == record.String
}

func evalGet(v View, args [][]byte, out []byte) []byte {
	out, _, _, _ = appendValue(v, args[1], out)
	return out
}

// appendValue appends what GET answers. ok is false where that is an error.
func appendValue(v View, key, out []byte) (_ []byte, r record.Record, found, ok bool) {
	r, found, ok = stringAt(v, key)
	switch {
	case !ok:
		out = appendError(out, errWrongType)
	case !found:
		out = appendNull(out)
	default:
		out = appendBulk(out, r.Value)
	}
	return out, r, found, ok
}

// MaxReply is the most bytes that MGET answers from one tablet: more than the longest value, and less than what one node
// can send another. A short command may name a long value a million times.
const MaxReply = 51 << 20

func evalMGet(v View, args [][]byte, out []byte) []byte {
	start := len(out)
	out = appendHeader(out, '*', len(args)-1)
	for _, key := range args[1:] {
		r, found, ok := stringAt(v, key)
		if !found || !ok {
			out = appendNull(out)
			continue
		}
		if len(out)-start+len(r.Value) > MaxReply {
			return appendError(out[:start], "ERR the values take more than "+strconv.Itoa(MaxReply)+
				" bytes in one tablet; ask for fewer keys at a time")
		}
		out = appendBulk(out, r.Value)
	}
	return out
}

func evalMSet(v View, args [][]byte, out []byte) []byte {
	for i := 1; i+1 < len(args); i += 2 {
		v.Put(args[i], record.Record{Kind: record.String, Value: args[i+1]})
	}
	return appendOK(out)
}

func evalMSetNX(v View, args [][]byte, out []byte) []byte {
	for i := 1; i+1 < len(args); i += 2 {
		if _, found := v.Get(args[i]); found {
			return appendInt(out, 0)
		}
	}
	evalMSet(v, args, nil)
	return appendInt(out, 1)
}

func evalSetNX(v View, args [][]byte, out []byte) []byte {
	if _, found := v.Get(args[1]); found {
		return appendInt(out, 0)
	}
	v.Put(args[1], record.Record{Kind: record.String, Value: args[2]})
	return appendInt(out, 1)
}

func evalGetSet(v View, args [][]byte, out []byte) []byte {
	out, _, _, ok := appendValue(v, args[1], out)
	if ok {
		v.Put(args[1], record.Record{Kind: record.String, Value: args[2]})
	}
	return out
}

func evalGetDel(v View, args [][]byte, out []byte) []byte {
	out, _, found, ok := appendValue(v, args[1], out)
	if found && ok {
		v.Delete(args[1])
	}
	return out
}

func evalStrlen(v View, args [][]byte, out []byte) []byte {
	r, _, ok := stringAt(v, args[1])
	if !ok {
		return appendError(out, errWrongType)
	}
	return appendInt(out, int64(len(r.Value)))
}

func evalAppend(v View, args [][]byte, out []byte) []byte {
	r, found, ok := stringAt(v, args[1])
	if !ok {
		return appendError(out, errWrongType)
	}
	if !found {
		v.Put(args[1], record.Record{Kind: record.String, Value: args[2]})
		return appendInt(out, int64(len(args[2])))
	}
	if len(r.Value) > v.MaxValue()-len(args[2]) {
		return appendError(out, errTooLong)
	}
	value := make([]byte, 0, len(r.Value)+len(args[2]))
	value = append(append(value, r.Value...), args[2]...)
	v.Put(args[1], record.Record{Kind: record.String, ExpireAt: r.ExpireAt, Value: value})
	return appendInt(out, int64(len(value)))
}

func evalGetRange(v View, args [][]byte, out []byte) []byte {
	start, ok1 := parseInt(args[2])
	end, ok2 := parseInt(args[3])
	if !ok1 || !ok2 {
		return appendError(out, errNotInteger)
	}
	r, _, ok := stringAt(v, args[1])
	if !ok {
		return appendError(out, errWrongType)
	}
	size := int64(len(r.Value))
	if start < 0 && end < 0 && start > end {
		return appendBulk(out, "")
	}
	start, end = fromEnd(start, size), min(fromEnd(end, size), size-1)
	if start > end {
		return appendBulk(out, "")
	}
	return appendBulk(out, r.Value[start:end+1])
}

// fromEnd turns an index that may count from the end into one from the start, at least 0.
func fromEnd(i, size int64) int64 {
	if i < 0 {
		i += size
	}
	return max(i, 0)
}

func evalSetRange(v View, args [][]byte, out []byte) []byte {
	offset, ok := parseInt(args[2])
	if !ok {
		return appendError(out, errNotInteger)
	}
	if offset < 0 {
		return appendError(out, errOffset)
	}
	r, _, ok := stringAt(v, args[1])
	if !ok {
		return appendError(out, errWrongType)
	}
	patch := args[3]
	if len(patch) == 0 {
		return appendInt(out, int64(len(r.Value)))
	}
	if offset > int64(v.MaxValue()-len(patch)) {
		return appendError(out, errTooLong)
	}
	value := make([]byte, max(len(r.Value), int(offset)+len(patch)))
	copy(value, r.Value)
	copy(value[offset:], patch)
	v.Put(args[1], record.Record{Kind: record.String, ExpireAt: r.ExpireAt, Value: value})
	return appendInt(out, int64(len(value)))
}
