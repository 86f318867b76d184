package command

import "math"

// ExpireBound is the most keys that one evaluation of the internal command _EXPIRE removes.
const ExpireBound = 1024

// evalLen answers how many keys the tablet holds.
func evalLen(v View, _ [][]byte, out []byte) []byte { return appendInt(out, v.Len()) }

// evalClear removes all keys of the tablet.
func evalClear(v View, _ [][]byte, out []byte) []byte {
	v.Clear()
	return appendOK(out)
}

// evalSweep removes keys that have expired, at most args[1] of them. It answers how many and when the next one
// expires (milliseconds since 1970, 0 for never).
func evalSweep(v View, args [][]byte, out []byte) []byte {
	limit, ok := parseInt(args[1])
	if !ok || limit < 1 {
		return appendError(out, errNotInteger)
	}
	keys := v.Expired(int(min(limit, ExpireBound)))
	for _, key := range keys {
		v.Delete(key)
	}
	out = appendHeader(out, '*', 2)
	out = appendInt(out, int64(len(keys)))
	return appendInt(out, v.NextExpiry())
}

// ParseExpireReply takes the reply of _EXPIRE apart.
func ParseExpireReply(reply []byte) (removed, next int64, err error) {
	var numbers [2]uint64
	n, rest, ok := cutHeader(reply, '*')
	if !ok || n != 2 {
		return 0, 0, ErrReply
	}
	for i := range numbers {
		if numbers[i], rest, ok = cutHeader(rest, ':'); !ok || numbers[i] > math.MaxInt64 {
			return 0, 0, ErrReply
		}
	}
	if len(rest) != 0 {
		return 0, 0, ErrReply
	}
	return int64(numbers[0]), int64(numbers[1]), nil
}
