package command

import "math"

func evalExpire(v View, args [][]byte, out []byte) []byte {
	return expire(v, "expire", args, 1000, v.Now(), out)
}

func evalPExpire(v View, args [][]byte, out []byte) []byte {
	return expire(v, "pexpire", args, 1, v.Now(), out)
}

func evalExpireAt(v View, args [][]byte, out []byte) []byte {
	return expire(v, "expireat", args, 1000, 0, out)
}

func evalPExpireAt(v View, args [][]byte, out []byte) []byte {
	return expire(v, "pexpireat", args, 1, 0, out)
}

// expire is the EXPIRE family: the time is args[2] in units of so many milliseconds, counted from base.
func expire(v View, name string, args [][]byte, unit, base int64, out []byte) []byte {
	o, problem := parseExpire(args[3:])
	if problem != nil {
		return appendErrorText(out, problem)
	}
	at, ok := parseInt(args[2])
	if !ok {
		return appendError(out, errNotInteger)
	}
	if at > math.MaxInt64/unit || at < math.MinInt64/unit || at*unit > math.MaxInt64-base {
		return appendError(out, invalidExpire(name))
	}
	at = at*unit + base
	r, found := v.Get(args[1])
	if !found || !o.allow(at, r.ExpireAt) {
		return appendInt(out, 0)
	}
	if at <= v.Now() { // also 0, which in a record would mean never
		v.Delete(args[1])
		return appendInt(out, 1)
	}
	r.ExpireAt = at
	v.Put(args[1], r)
	return appendInt(out, 1)
}

// expireOptions are the conditions of the EXPIRE family. No expiry counts as one that is never reached.
type expireOptions struct{ nx, xx, gt, lt bool }

func parseExpire(words [][]byte) (o expireOptions, problem []byte) {
	for _, w := range words {
		switch {
		case equalFold(w, "nx"):
			o.nx = true
		case equalFold(w, "xx"):
			o.xx = true
		case equalFold(w, "gt"):
			o.gt = true
		case equalFold(w, "lt"):
			o.lt = true
		default:
			return o, append([]byte("ERR Unsupported option "), w...)
		}
	}
	switch {
	case o.nx && (o.xx || o.gt || o.lt):
		problem = []byte(errNXAndOthers)
	case o.gt && o.lt:
		problem = []byte(errGTAndLT)
	}
	return o, problem
}

// allow reports whether the expiry may change from the present one, 0 for none, to at.
func (o expireOptions) allow(at, present int64) bool {
	switch {
	case o.nx && present != 0,
		o.xx && present == 0,
		o.gt && (present == 0 || at <= present),
		o.lt && present != 0 && at >= present:
		return false
	}
	return true
}

func evalPersist(v View, args [][]byte, out []byte) []byte {
	r, found := v.Get(args[1])
	if !found || r.ExpireAt == 0 {
		return appendInt(out, 0)
	}
	r.ExpireAt = 0
	v.Put(args[1], r)
	return appendInt(out, 1)
}

func evalTTL(v View, args [][]byte, out []byte) []byte {
	return timeLeft(v, args[1], 1000, v.Now(), out)
}

func evalPTTL(v View, args [][]byte, out []byte) []byte { return timeLeft(v, args[1], 1, v.Now(), out) }

func evalExpireTime(v View, args [][]byte, out []byte) []byte {
	return timeLeft(v, args[1], 1000, 0, out)
}

func evalPExpireTime(v View, args [][]byte, out []byte) []byte {
	return timeLeft(v, args[1], 1, 0, out)
}

// timeLeft answers the key's expiry as counted from base, rounded to units; -1 is no expiry, -2 no key.
func timeLeft(v View, key []byte, unit, base int64, out []byte) []byte {
	r, found := v.Get(key)
	switch {
	case !found:
		return appendInt(out, -2)
	case r.ExpireAt == 0:
		return appendInt(out, -1)
	}
	left := r.ExpireAt - base // positive, because the key is live
	if unit == 1 {
		return appendInt(out, left)
	}
	n := left / unit
	if left%unit >= unit/2 {
		n++
	}
	return appendInt(out, n)
}
