package resp

import (
	"bytes"
	"errors"
)

// ErrReply is returned when bytes are not a whole, well-formed reply.
var ErrReply = errors.New("resp: not a well-formed reply")

// errShort is returned when a reply is well-formed as far as it goes.
var errShort = errors.New("resp: the reply is cut off")

// token is the first element of an encoded reply: a scalar, or the header of an aggregate.
type token struct {
	kind byte
	// text is the line after the kind, or the bytes of a bulk.
	text []byte
	// n is the number of values that follow: for '%' and '|' twice the announced count. It is -1 for null.
	n int64
	// size is the number of bytes that the token takes.
	size int
}

// next reads the token at the start of b. It returns errShort where b ends within it.
func next(b []byte) (token, error) {
	if len(b) == 0 {
		return token{}, errShort
	}
	t := token{kind: b[0]}
	cr := bytes.IndexByte(b, '\r')
	if cr < 0 || cr+1 >= len(b) {
		return token{}, errShort
	}
	if cr == 0 || b[cr+1] != '\n' {
		return token{}, ErrReply
	}
	t.text, t.size = b[1:cr], cr+2
	switch t.kind {
	case '+', '-', ':', ',', '(':
		return t, nil
	case '_':
		t.n = -1
		if len(t.text) != 0 {
			return token{}, ErrReply
		}
		return t, nil
	case '#':
		if len(t.text) != 1 || t.text[0] != 't' && t.text[0] != 'f' {
			return token{}, ErrReply
		}
		return t, nil
	case '$', '=', '!', '*', '%', '~', '>', '|':
	default:
		return token{}, ErrReply
	}
	n, ok := ParseInt(t.text)
	if !ok || n < -1 || n > 1<<40 || n == -1 && t.kind != '$' && t.kind != '*' {
		return token{}, ErrReply
	}
	switch {
	case n == -1:
		t.kind, t.text, t.n = '_', nil, -1
	case t.kind == '$' || t.kind == '=' || t.kind == '!':
		if int64(len(b)-t.size) < n+2 {
			return token{}, errShort
		}
		end := t.size + int(n)
		if b[end] != '\r' || b[end+1] != '\n' {
			return token{}, ErrReply
		}
		if t.kind == '=' && (n < 4 || b[t.size+3] != ':') {
			return token{}, ErrReply
		}
		t.text, t.size = b[t.size:end], end+2
	case t.kind == '%' || t.kind == '|':
		t.n = 2 * n
	default:
		t.n = n
	}
	return t, nil
}

// Len returns the length in bytes of the first whole reply in b.
func Len(b []byte) (int, error) {
	at := 0
	for left := int64(1); left > 0; left-- {
		t, err := next(b[at:])
		if err != nil {
			return 0, ErrReply
		}
		at += t.size
		if t.n > 0 {
			left += t.n
		}
		if t.kind == '|' {
			left++ // attributes stand before a value, they are none
		}
		if left-1 > int64(len(b)-at) {
			return 0, ErrReply // each value to come takes at least one byte
		}
	}
	return at, nil
}

// Elements returns the number of values of the array or set that b begins with, and what follows the header.
func Elements(b []byte) (n int, rest []byte, err error) {
	t, err := next(b)
	if err != nil || t.kind != '*' && t.kind != '~' || t.n > int64(len(b)) {
		return 0, nil, ErrReply
	}
	return int(t.n), b[t.size:], nil
}

// IntAt returns the integer that b begins with, and what follows it.
func IntAt(b []byte) (n int64, rest []byte, err error) {
	t, err := next(b)
	if err != nil || t.kind != ':' {
		return 0, nil, ErrReply
	}
	n, ok := ParseInt(t.text)
	if !ok {
		return 0, nil, ErrReply
	}
	return n, b[t.size:], nil
}
