package command

import (
	"math"

	"github.com/quorddb/quord/internal/record"
)

// setOptions are the words after SET key value and GETEX key.
type setOptions struct {
	nx, xx, get, keepTTL, persist bool
	// unit is how expire is meant, and none where there is no expiry.
	unit   expireUnit
	expire []byte
}

// expireUnit is how an expiry is given: in seconds or milliseconds, from now or since 1970.
type expireUnit uint8

const (
	none expireUnit = iota
	ex
	px
	exat
	pxat
)

var expireWords = [...]string{ex: "ex", px: "px", exat: "exat", pxat: "pxat"}

// parseSet reads the options of SET, or of GETEX, which knows fewer. The same option may come twice, the last
// one counts; options that exclude each other may not.
func parseSet(words [][]byte, getex bool) (o setOptions, ok bool) {
	for i := 0; i < len(words); i++ {
		w := words[i]
		switch {
		case !getex && equalFold(w, "nx") && !o.xx:
			o.nx = true
		case !getex && equalFold(w, "xx") && !o.nx:
			o.xx = true
		case !getex && equalFold(w, "get"):
			o.get = true
		case !getex && equalFold(w, "keepttl") && o.unit == none:
			o.keepTTL = true
		case getex && equalFold(w, "persist") && o.unit == none:
			o.persist = true
		default:
			unit := expireUnitOf(w)
			if unit == none || o.keepTTL || o.persist || (o.unit != none && o.unit != unit) || i+1 == len(words) {
				return o, false
			}
			i++
			o.unit, o.expire = unit, words[i]
		}
	}
	return o, true
}

func expireUnitOf(w []byte) expireUnit {
	for unit := ex; unit <= pxat; unit++ {
		if equalFold(w, expireWords[unit]) {
			return unit
		}
	}
	return none
}

// expiry returns the time at which a key with these options is gone, 0 for never, and the text of an error where
// the number makes no sense.
func (o *setOptions) expiry(now int64, name string) (at int64, problem string) {
	if o.unit == none {
		return 0, ""
	}
	n, ok := parseInt(o.expire)
	if !ok {
		return 0, errNotInteger
	}
	seconds := o.unit == ex || o.unit == exat
	if n <= 0 || (seconds && n > math.MaxInt64/1000) {
		return 0, invalidExpire(name)
	}
	if seconds {
		n *= 1000
	}
	if o.unit == ex || o.unit == px {
		if n > math.MaxInt64-now {
			return 0, invalidExpire(name)
		}
		n += now
	}
	return n, ""
}

func invalidExpire(name string) string { return "ERR invalid expire time in '" + name + "' command" }

func evalSet(v View, args [][]byte, out []byte) []byte {
	o, ok := parseSet(args[3:], false)
	if !ok {
		return appendError(out, errSyntax)
	}
	return set(v, "set", args[1], args[2], &o, out)
}

func evalSetEX(v View, args [][]byte, out []byte) []byte {
	return set(v, "setex", args[1], args[3], &setOptions{unit: ex, expire: args[2]}, out)
}

func evalPSetEX(v View, args [][]byte, out []byte) []byte {
	return set(v, "psetex", args[1], args[3], &setOptions{unit: px, expire: args[2]}, out)
}

// set is SET under any of its names. A plain SET does not read the key.
func set(v View, name string, key, value []byte, o *setOptions, out []byte) []byte {
	at, problem := o.expiry(v.Now(), name)
	if problem != "" {
		return appendError(out, problem)
	}
	var old record.Record
	var found bool
	if o.nx || o.xx || o.get || o.keepTTL {
		old, found = v.Get(key)
	}
	if o.get && found && old.Kind != record.String {
		return appendError(out, errWrongType)
	}
	refused := (o.nx && found) || (o.xx && !found)
	switch {
	case o.get && found:
		out = appendBulk(out, old.Value)
	case o.get || refused:
		out = appendNull(out)
	default:
		out = appendOK(out)
	}
	if refused {
		return out
	}
	if o.keepTTL {
		at = old.ExpireAt
	}
	put(v, key, record.Record{Kind: record.String, ExpireAt: at, Value: value})
	return out
}

func evalGetEX(v View, args [][]byte, out []byte) []byte {
	o, ok := parseSet(args[2:], true)
	if !ok {
		return appendError(out, errSyntax)
	}
	r, found, ok := stringAt(v, args[1])
	if !ok {
		return appendError(out, errWrongType)
	}
	if !found {
		return appendNull(out)
	}
	at, problem := o.expiry(v.Now(), "getex")
	if problem != "" {
		return appendError(out, problem)
	}
	out = appendBulk(out, r.Value)
	if o.unit != none || (o.persist && r.ExpireAt != 0) {
		r.ExpireAt = at
		put(v, args[1], r)
	}
	return out
}
