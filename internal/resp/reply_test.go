package resp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

// A client that speaks RESP2 must find in each reply what RESP3 says, in the form that Redis gives it.
func TestDowngrade(t *testing.T) {
	for in, want := range map[string]string{
		"+OK\r\n":                   "+OK\r\n",
		"-ERR x\r\n":                "-ERR x\r\n",
		":-5\r\n":                   ":-5\r\n",
		"$3\r\na\r\n\r\n":           "$3\r\na\r\n\r\n",
		"_\r\n":                     "$-1\r\n",
		"#t\r\n":                    ":1\r\n",
		"#f\r\n":                    ":0\r\n",
		",3.25\r\n":                 "$4\r\n3.25\r\n",
		",inf\r\n":                  "$3\r\ninf\r\n",
		"(12345678901234567890\r\n": "$20\r\n12345678901234567890\r\n",
		"=8\r\ntxt:abcd\r\n":        "$4\r\nabcd\r\n",
		"!8\r\nERR a\r\nb\r\n":      "-ERR a  b\r\n",
		"%2\r\n+a\r\n:1\r\n+b\r\n%1\r\n_\r\n#t\r\n": "*4\r\n+a\r\n:1\r\n+b\r\n*2\r\n$-1\r\n:1\r\n",
		"~2\r\n:1\r\n$1\r\nx\r\n":                   "*2\r\n:1\r\n$1\r\nx\r\n",
		">1\r\n+x\r\n":                              "*1\r\n+x\r\n",
		"*2\r\n*0\r\n%0\r\n":                        "*2\r\n*0\r\n*0\r\n",
		"|1\r\n+ttl\r\n:3\r\n*1\r\n_\r\n":           "*1\r\n$-1\r\n",
	} {
		got, err := Downgrade([]byte("before"), []byte(in))
		if err != nil || string(got) != "before"+want {
			t.Errorf("%q: got %q, %v; want %q", in, got, err, want)
		}
	}
	for _, in := range []string{
		"", "*2\r\n:1\r\n", "*1\r\n:1\r\n:2\r\n", "%1\r\n+a\r\n", "_x\r\n", "#x\r\n", "x\r\n", "=2\r\nab\r\n", "*99999999999999\r\n",
		"*1\r\n$5\r\nabc\r\n", "%1\r\n+a\r\n+b\r\n\r\n", "*-2\r\n", "%-1\r\n", "_\n",
	} {
		got, err := Downgrade([]byte("before"), []byte(in))
		if !errors.Is(err, ErrReply) || string(got) != "before" {
			t.Errorf("%q: got %q, %v; want ErrReply", in, got, err)
		}
	}
}

// What the server appends, a client must read as the same thing.
func TestAppendedRepliesReadBack(t *testing.T) {
	var b []byte
	b = AppendArray(b, 11)
	b = append(b, "+a b\r\n"...)
	b = AppendError(b, "ERR no\nway")
	b = AppendInt(b, math.MinInt64)
	b = AppendBulk(b, []byte{0, '\r', '\n'})
	b = AppendNull(b)
	b = AppendBool(b, true)
	b = AppendDouble(b, math.Inf(-1))
	b = AppendVerbatim(b, "text")
	b = AppendMap(b, 1)
	b = AppendBulk(b, "key")
	b = AppendDouble(b, 0.1)
	b = appendHeader(b, '~', 1)
	b = AppendInt(b, 7)
	b = AppendBulk(b, "")
	v, rest, err := Parse(b)
	if err != nil || len(rest) != 0 {
		t.Fatal(err, rest)
	}
	const want = `["a b" (error) ERR no way (integer) -9223372036854775808 "\x00\r\n" (nil) "t" "-inf" "text" ` +
		`["key" "0.1"] [(integer) 7] ""]`
	if v.String() != want {
		t.Errorf("got  %s\nwant %s", v, want)
	}
	if n, err := Len(append(b, "+more\r\n"...)); err != nil || n != len(b) {
		t.Errorf("Len is %d, %v; want %d", n, err, len(b))
	}
	if e, ok := v.Elems[8].Lookup("key"); !ok || string(e.Text) != "0.1" {
		t.Error("the map's key was not found")
	}
}

// genReply draws a well-formed reply.
func genReply(t *rapid.T, dst []byte, depth int) []byte {
	kinds := 9
	if depth > 0 {
		kinds = 13
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
		return appendLine(dst, '+', rapid.String().Draw(t, "simple"))
	case 1:
		return AppendError(dst, rapid.String().Draw(t, "error"))
	case 2:
		return AppendInt(dst, rapid.Int64().Draw(t, "int"))
	case 3, 4:
		return AppendBulk(dst, rapid.SliceOf(rapid.Byte()).Draw(t, "bulk"))
	case 5:
		return AppendNull(dst)
	case 6:
		return AppendBool(dst, rapid.Bool().Draw(t, "bool"))
	case 7:
		return AppendDouble(dst, rapid.Float64().Draw(t, "double"))
	case 8:
		return AppendVerbatim(dst, rapid.String().Draw(t, "text"))
	}
	n := rapid.IntRange(0, 4).Draw(t, "n")
	values := n
	switch rapid.IntRange(0, 2).Draw(t, "aggregate") {
	case 0:
		dst = AppendArray(dst, n)
	case 1:
		dst = appendHeader(dst, '~', int64(n))
	case 2:
		dst = AppendMap(dst, n)
		values = 2 * n
	}
	for range values {
		dst = genReply(t, dst, depth-1)
	}
	return dst
}

// flat is what a value says, apart from how.
func flat(v Value) string {
	switch v.Kind {
	case '#', ':':
		n, _ := v.Int()
		return strconv.FormatInt(n, 10)
	case '*', '~', '%':
		var s strings.Builder
		for _, e := range v.Elems {
			s.WriteString(flat(e) + " ")
		}
		return "[" + s.String() + "]"
	case '-', '_':
		return v.String()
	}
	return string(v.Text)
}

// Speaking the older protocol must not change what a reply says, and what is in RESP2 already must stay as it is.
func TestDowngradeKeepsTheMeaning(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		reply := genReply(t, nil, 3)
		old, err := Downgrade(nil, reply)
		if err != nil {
			t.Fatal(err)
		}
		before, _, err := Parse(reply)
		if err != nil {
			t.Fatal(err)
		}
		after, rest, err := Parse(old)
		if err != nil || len(rest) != 0 {
			t.Fatalf("%q: %v", old, err)
		}
		if flat(before) != flat(after) {
			t.Fatalf("%q became %q", reply, old)
		}
		again, err := Downgrade(nil, old)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(again, old) {
			t.Fatalf("%q became %q the second time", old, again)
		}
	})
}

// A tool that reads replies must come to the same whatever the network does.
func TestReplyReader(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var stream []byte
		var want []string
		for range rapid.IntRange(1, 5).Draw(t, "replies") {
			one := genReply(t, nil, 2)
			v, _, err := Parse(one)
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, v.String())
			stream = append(stream, one...)
		}
		r := NewReplyReader(iotest.OneByteReader(bytes.NewReader(stream)), 1<<20)
		for i := range want {
			v, err := r.Read()
			if err != nil || v.String() != want[i] {
				t.Fatalf("%q: got %s, %v; want %s", stream, v, err, want[i])
			}
		}
		if _, err := r.Read(); err != io.EOF {
			t.Fatalf("at the end: %v", err)
		}
	})
	if _, err := NewReplyReader(strings.NewReader("$9000\r\n"+strings.Repeat("x", 9002)), 5000).Read(); !errors.Is(err, ErrTooBig) {
		t.Errorf("a reply over the limit: %v", err)
	}
	if _, err := NewReplyReader(strings.NewReader(strings.Repeat("*1\r\n", 100)+":1\r\n"), 5000).Read(); !errors.Is(err, ErrReply) {
		t.Errorf("a reply that is too deep: %v", err)
	}
	if _, err := NewReplyReader(strings.NewReader("$5\r\nab"), 5000).Read(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a reply that is cut off: %v", err)
	}
}

// counting counts how often it is read from.
type counting struct {
	io.Reader
	reads int
}

func (c *counting) Read(p []byte) (int, error) {
	c.reads++
	return c.Reader.Read(p)
}

// A tool that gets many short replies at once must not pay for a system call every few of them.
func TestReplyReaderReadsAhead(t *testing.T) {
	const replies = 200_000
	src := &counting{Reader: strings.NewReader(strings.Repeat("+OK\r\n", replies))}
	r := NewReplyReader(src, 1<<20)
	for range replies {
		if _, err := r.Read(); err != nil {
			t.Fatal(err)
		}
	}
	if most := 5*replies/(maxIdle/2) + 1; src.reads > most {
		t.Errorf("read %d times, want %d at most", src.reads, most)
	}
}

// Numbers that differ from Redis' reading by one blank would be accepted here and refused there.
func TestParseInt(t *testing.T) {
	for in, want := range map[string]int64{
		"0": 0, "-1": -1, "10": 10, "9223372036854775807": math.MaxInt64, "-9223372036854775808": math.MinInt64,
	} {
		if n, ok := ParseInt(in); !ok || n != want {
			t.Errorf("%q: got %d, %v", in, n, ok)
		}
	}
	for _, in := range []string{
		"", "-", "+1", "01", "-0", " 1", "1 ", "1a", "9223372036854775808", "-9223372036854775809", "18446744073709551616", "99999999999999999999", "999999999999999999999",
	} {
		if n, ok := ParseInt(in); ok {
			t.Errorf("%q was read as %d", in, n)
		}
	}
}

// Whatever a node answers, a session must neither panic nor send half a reply.
func FuzzDowngrade(f *testing.F) {
	for _, s := range []string{"%1\r\n+a\r\n_\r\n", "*2\r\n#t\r\n,1.5\r\n", "|1\r\n+a\r\n+b\r\n~0\r\n", "=5\r\ntxt:a\r\n", "*-1\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		out, err := Downgrade(nil, in)
		if err != nil {
			return
		}
		if len(in) > 0 && strings.ContainsRune("+-:$", rune(in[0])) {
			return // copied without a look
		}
		if n, err := Len(out); err != nil || n != len(out) {
			t.Fatalf("%q became %q, which is no whole reply", in, out)
		}
	})
}

// A server that sends rubbish must not take a tool down.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"%1\r\n+a\r\n_\r\n", "*2\r\n:1\r\n$1\r\nx\r\n", "|1\r\n+a\r\n+b\r\n~0\r\n", "*1000000000\r\n", "-ERR x\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		v, rest, err := Parse(in)
		n, lenErr := Len(in)
		if err == nil && (lenErr != nil || n != len(in)-len(rest)) {
			t.Fatalf("%q: Parse took %d bytes, Len says %d, %v", in, len(in)-len(rest), n, lenErr)
		}
		_ = fmt.Sprint(v, v.Err(), v.IsNull())
	})
}
