package command

import (
	"math"
	"strconv"

	"github.com/quorddb/quord/internal/record"
)

func evalIncr(v View, args [][]byte, out []byte) []byte { return increment(v, args[1], 1, out) }

func evalDecr(v View, args [][]byte, out []byte) []byte { return increment(v, args[1], -1, out) }

func evalIncrBy(v View, args [][]byte, out []byte) []byte {
	by, ok := parseInt(args[2])
	if !ok {
		return appendError(out, errNotInteger)
	}
	return increment(v, args[1], by, out)
}

func evalDecrBy(v View, args [][]byte, out []byte) []byte {
	by, ok := parseInt(args[2])
	if !ok {
		return appendError(out, errNotInteger)
	}
	if by == math.MinInt64 {
		return appendError(out, errDecrement)
	}
	return increment(v, args[1], -by, out)
}

func increment(v View, key []byte, by int64, out []byte) []byte {
	r, found, ok := stringAt(v, key)
	if !ok {
		return appendError(out, errWrongType)
	}
	var n int64
	if found {
		if n, ok = parseInt(r.Value); !ok {
			return appendError(out, errNotInteger)
		}
	}
	if (by < 0 && n < math.MinInt64-by) || (by > 0 && n > math.MaxInt64-by) {
		return appendError(out, errOverflow)
	}
	n += by
	v.Put(key, record.Record{Kind: record.String, ExpireAt: r.ExpireAt, Value: strconv.AppendInt(nil, n, 10)})
	return appendInt(out, n)
}

func evalIncrByFloat(v View, args [][]byte, out []byte) []byte {
	r, found, ok := stringAt(v, args[1])
	if !ok {
		return appendError(out, errWrongType)
	}
	value := zero
	if found {
		if value, ok = parseLongDouble(r.Value); !ok {
			return appendError(out, errNotFloat)
		}
	}
	by, ok := parseLongDouble(args[2])
	if !ok {
		return appendError(out, errNotFloat)
	}
	sum, ok := addLongDouble(value, by)
	if !ok {
		return appendError(out, errNaN)
	}
	text := appendLongDouble(nil, sum)
	v.Put(args[1], record.Record{Kind: record.String, ExpireAt: r.ExpireAt, Value: text})
	return appendBulk(out, text)
}
