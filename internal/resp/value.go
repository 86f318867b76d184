package resp

import (
	"errors"
	"fmt"
	"io"
	"strconv"
)

// Value is a reply as a tree.
type Value struct {
	// Kind is the byte that the reply starts with. Null is '_' in both protocols.
	Kind byte
	// Text holds simple strings, errors, bulk and verbatim strings (without "txt:"), and numbers as they were written.
	Text []byte
	// Elems holds the values of an aggregate; those of a map are keys and values in turn.
	Elems []Value
}

// IsNull reports whether v is null.
func (v Value) IsNull() bool { return v.Kind == '_' }

// Err returns the error that v is, or nil.
func (v Value) Err() error {
	if v.Kind == '-' || v.Kind == '!' {
		return errors.New(string(v.Text))
	}
	return nil
}

// Int returns the integer or boolean that v is, or that its text says.
func (v Value) Int() (int64, bool) {
	if v.Kind == '#' {
		if string(v.Text) == "t" {
			return 1, true
		}
		return 0, true
	}
	return ParseInt(v.Text)
}

// Lookup returns the value under key in a map, or in a flat array of keys and values.
func (v Value) Lookup(key string) (Value, bool) {
	for i := 0; i+1 < len(v.Elems); i += 2 {
		if string(v.Elems[i].Text) == key {
			return v.Elems[i+1], true
		}
	}
	return Value{}, false
}

// String shows v in the way of redis-cli, on one line.
func (v Value) String() string {
	switch v.Kind {
	case '_':
		return "(nil)"
	case '-', '!':
		return "(error) " + string(v.Text)
	case ':':
		return "(integer) " + string(v.Text)
	case '*', '~', '>', '%':
		s := "["
		for i, e := range v.Elems {
			if i > 0 {
				s += " "
			}
			s += e.String()
		}
		return s + "]"
	}
	return strconv.Quote(string(v.Text))
}

// maxDepth is how deep aggregates may lie in each other.
const maxDepth = 32

// Parse reads the first reply of b and returns what follows it. The value aliases b. It returns
// io.ErrUnexpectedEOF when b ends before the reply does, and ErrReply when it is no reply.
func Parse(b []byte) (v Value, rest []byte, err error) { return parse(b, maxDepth) }

func parse(b []byte, depth int) (Value, []byte, error) {
	if depth == 0 {
		return Value{}, nil, fmt.Errorf("%w: more than %d levels", ErrReply, maxDepth)
	}
	t, err := next(b)
	if errors.Is(err, errShort) {
		return Value{}, nil, io.ErrUnexpectedEOF
	}
	if err != nil {
		return Value{}, nil, err
	}
	rest := b[t.size:]
	v := Value{Kind: t.kind, Text: t.text}
	switch t.kind {
	case '=':
		v.Text = t.text[4:]
		return v, rest, nil
	case '_':
		v.Text = nil
		return v, rest, nil
	case '*', '%', '~', '>', '|':
	default:
		return v, rest, nil
	}
	v.Text = nil
	// No memory for values that have not arrived: each takes three bytes at least.
	v.Elems = make([]Value, 0, min(t.n, int64(len(rest)/3)))
	for range t.n {
		var e Value
		if e, rest, err = parse(rest, depth-1); err != nil {
			return Value{}, nil, err
		}
		v.Elems = append(v.Elems, e)
	}
	if t.kind == '|' {
		return parse(rest, depth-1) // attributes only describe the value that follows
	}
	return v, rest, nil
}

// ErrTooBig is returned by ReplyReader when a reply is longer than its limit.
var ErrTooBig = errors.New("resp: the reply is over the limit")

// ReplyReader reads replies from a stream, for tests and tools.
type ReplyReader struct {
	src  io.Reader
	max  int
	buf  []byte
	r, w int
	full bool // the last read filled the buffer, so more is waiting
}

// NewReplyReader returns a ReplyReader of src that refuses replies longer than limit bytes.
func NewReplyReader(src io.Reader, limit int) *ReplyReader {
	return &ReplyReader{src: src, max: limit, buf: make([]byte, minBuffer)}
}

// Read returns the next reply. It aliases the reader's buffer until the next Read.
func (r *ReplyReader) Read() (Value, error) {
	tried := -1 // what was there when the last attempt failed; parse again only when that has doubled
	for {
		if n := r.w - r.r; n > 0 && (tried < 0 || n >= 2*tried || r.endsLine()) {
			// Nearly every reply is one token.
			if t, err := next(r.buf[r.r:r.w]); err == nil && (t.kind == '$' || t.kind == '+' || t.kind == ':') {
				r.r += t.size
				return Value{Kind: t.kind, Text: t.text}, nil
			}
			v, rest, err := Parse(r.buf[r.r:r.w])
			if err == nil {
				r.r = r.w - len(rest)
				return v, nil
			}
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				return Value{}, err
			}
			tried = n
		}
		if err := r.fill(); err != nil {
			return Value{}, err
		}
	}
}

// endsLine reports whether the last bytes could end a reply.
func (r *ReplyReader) endsLine() bool { return r.w-r.r >= 2 && r.buf[r.w-1] == '\n' }

func (r *ReplyReader) fill() error {
	if r.r > 0 {
		r.w = copy(r.buf, r.buf[r.r:r.w])
		r.r = 0
	}
	if r.w >= r.max {
		return ErrTooBig
	}
	if r.w == len(r.buf) || r.full && len(r.buf) < maxIdle {
		r.buf = append(r.buf, make([]byte, max(min(len(r.buf), r.max-len(r.buf)), 0))...)
	}
	n, err := r.src.Read(r.buf[r.w:])
	r.w += n
	r.full = r.w == len(r.buf)
	if n > 0 {
		return nil
	}
	if err == io.EOF && r.w > 0 {
		return io.ErrUnexpectedEOF
	}
	return err
}
