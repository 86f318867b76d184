package resp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// all reads every command of a stream. Each is written as its arguments, quoted; a refused one as its length.
func all(src io.Reader, lim Limits) (got []string, err error) {
	r := NewReader(src, lim)
	for {
		cmd, ok, err := r.Next()
		if err != nil {
			return got, err
		}
		if !ok {
			if err := r.Fill(); err != nil {
				if err == io.EOF {
					return got, nil
				}
				return got, err
			}
			continue
		}
		if cmd.Oversize > 0 {
			got = append(got, fmt.Sprintf("over %d", cmd.Oversize))
			continue
		}
		got = append(got, fmt.Sprintf("%q", cmd.Args))
	}
}

// A client that speaks the protocol correctly, by hand or by program, must be understood.
func TestReaderTakesCommands(t *testing.T) {
	for in, want := range map[string][]string{
		"*1\r\n$4\r\nPING\r\n": {`["PING"]`},
		"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n*1\r\n$1\r\nx\r\n": {`["SET" "k" ""]`, `["x"]`},
		"*2\r\n$12\r\nabcdefghijkl\r\n$2\r\n\r\n\r\n":               {`["abcdefghijkl" "\r\n"]`},
		"*0\r\n*-1\r\n*1\r\n$1\r\na\r\n":                            {`["a"]`},
		"PING\r\nping\n":                                            {`["PING"]`, `["ping"]`},
		"\r\n  \n SET  a\t\"b c\" \n":                               {`["SET" "a" "b c"]`},
		`set "\x41\n\r\t\b\a\q\"" 'it\'s\n'` + "\n":                 {"[\"set\" \"A\\n\\r\\t\\b\\aq\\\"\" \"it's\\\\n\"]"},
		`set "" ''` + "\n":                                          {`["set" "" ""]`},
		"x\x00y z\n":                                                {`["x"]`},
		"PING\r\n*1\r\n$4\r\nPING\r\nPING\r\n":                      {`["PING"]`, `["PING"]`, `["PING"]`},
		"*10\r\n" + strings.Repeat("$1\r\na\r\n", 10) + "":          {`["a" "a" "a" "a" "a" "a" "a" "a" "a" "a"]`},
		"*1\r\n$100\r\n" + strings.Repeat("v", 100) + "\r\nPING\n":  {`["` + strings.Repeat("v", 100) + `"]`, `["PING"]`},
	} {
		for name, src := range map[string]io.Reader{
			"whole": strings.NewReader(in), "bytewise": iotest.OneByteReader(strings.NewReader(in)),
		} {
			got, err := all(src, Limits{})
			if err != nil || !cmp.Equal(got, want) {
				t.Errorf("%s %q: got %v, %v; want %v", name, in, got, err, want)
			}
		}
	}
}

// Clients and their authors know Redis' texts; a stream that cannot be read must end with the same.
func TestReaderProtocolErrors(t *testing.T) {
	long := strings.Repeat("1", 70<<10)
	for in, want := range map[string]string{
		"*x\r\n":                          "invalid multibulk length",
		"*+1\r\n":                         "invalid multibulk length",
		"*01\r\n":                         "invalid multibulk length",
		"*2147483648\r\n":                 "invalid multibulk length",
		"*1\rx":                           "invalid multibulk length",
		"*" + long:                        "too big mbulk count string",
		"*1\r\n:1\r\n":                    "expected '$', got ':'",
		"*1\r\n$-1\r\n":                   "invalid bulk length",
		"*1\r\n$a\r\n":                    "invalid bulk length",
		"*1\r\n$536870913\r\n":            "invalid bulk length",
		"*1\r\n$99999999999999999999\r\n": "invalid bulk length",
		"*1\r\n$" + long:                  "too big bulk count string",
		"*1\r\n$1\r\nabc":                 "expected CRLF after a bulk string",
		long:                              "too big inline request",
		"set \"a\n":                       "unbalanced quotes in request",
		"set \"a\"b\n":                    "unbalanced quotes in request",
		"set 'a\n":                        "unbalanced quotes in request",
	} {
		_, err := all(strings.NewReader(in), Limits{})
		var p ProtocolError
		if !errors.As(err, &p) || string(p) != want {
			t.Errorf("%.20q: got %v, want %q", in, err, want)
		}
	}
}

// Someone who has not shown a password must not be able to make the server hold much.
func TestReaderBeforeAuth(t *testing.T) {
	for in, want := range map[string]string{
		"*11\r\n":                               "unauthenticated multibulk length",
		"*1\r\n$16385\r\n":                      "unauthenticated bulk length",
		"a b c d e f g h i j k l\n":             "invalid multibulk length",
		"*2\r\n$4\r\nAUTH\r\n$3000000000\r\n":   "unauthenticated bulk length",
		"*2\r\n$4\r\nAUTH\r\n$-30000000000\r\n": "invalid bulk length",
	} {
		_, err := all(strings.NewReader(in), BeforeAuth())
		var p ProtocolError
		if !errors.As(err, &p) || string(p) != want {
			t.Errorf("%.20q: got %v, want %q", in, err, want)
		}
	}
}

// A value over the limit costs its own command, not the connection and not the commands around it.
func TestReaderReadsPastWhatIsTooLong(t *testing.T) {
	big := bytes.Repeat([]byte("\r\n$"), 100_000)
	var in []byte
	in = AppendCommand(in, "PING")
	in = AppendCommand(in, []byte("SET"), []byte("k"), big, []byte("x"))
	in = AppendCommand(in, "GET", "k")
	in = AppendCommand(in, "SET", strings.Repeat("a", 60), strings.Repeat("b", 60))
	in = AppendCommand(in, "PING")
	want := []string{`["PING"]`, "over 300000", `["GET" "k"]`, "over 60", `["PING"]`}
	for name, src := range map[string]io.Reader{
		"whole": bytes.NewReader(in), "bytewise": iotest.OneByteReader(bytes.NewReader(in)),
	} {
		r := NewReader(src, Limits{})
		got, err := all(src, Limits{MaxBulk: 100, MaxCommand: 100, MaxSkip: 1 << 20})
		if err != nil || !cmp.Equal(got, want) {
			t.Errorf("%s: got %v, %v; want %v", name, got, err, want)
		}
		r.Release()
	}
}

// A client that announces much and sends little must cost little; what it holds is asked for and given back.
func TestReaderMemoryFollowsWhatArrived(t *testing.T) {
	held, most := 0, 0
	reserve := func(n int) bool {
		held += n
		most = max(most, held)
		return held <= 1<<20
	}
	r := NewReader(strings.NewReader("*1000000\r\n$500000000\r\nabc"), Limits{})
	r.Reserve = reserve
	for {
		if _, _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
		if err := r.Fill(); err != nil {
			break
		}
	}
	if r.BufferSize() > maxIdle || most != 0 {
		t.Errorf("an announcement alone took %d bytes, reserved %d", r.BufferSize(), most)
	}

	value := bytes.Repeat([]byte("v"), 700_000)
	stream := append(AppendCommand(nil, []byte("SET"), []byte("k"), value), AppendCommand(nil, "PING")...)
	r = NewReader(bytes.NewReader(stream), Limits{})
	r.Reserve = reserve
	n := 0
	for {
		cmd, ok, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			if n++; n == 1 && !bytes.Equal(cmd.Args[2], value) {
				t.Error("the value came out changed")
			}
			continue
		}
		if err := r.Fill(); err != nil {
			break
		}
	}
	if n != 2 || most < 600_000 || most > 800_000 {
		t.Errorf("%d commands, at most %d bytes reserved", n, most)
	}
	r.Release()
	if held != 0 {
		t.Errorf("%d bytes were never given back", held)
	}

	r = NewReader(bytes.NewReader(AppendCommand(nil, bytes.Repeat([]byte("v"), 3<<20))), Limits{})
	r.Reserve = reserve
	var err error
	for err == nil {
		if _, _, err = r.Next(); err == nil {
			err = r.Fill()
		}
	}
	if !errors.Is(err, ErrMemory) {
		t.Errorf("past the bound: %v, want ErrMemory", err)
	}

	// Arguments without bytes take memory too: where they are.
	const arguments = 100_000
	r = NewReader(strings.NewReader(fmt.Sprintf("*%d\r\n%s", arguments+1, strings.Repeat("$0\r\n\r\n", arguments))), Limits{})
	held, most = 0, 0
	r.Reserve = func(n int) bool { held += n; most = max(most, held); return true }
	for err = nil; err == nil; {
		if _, _, err = r.Next(); err == nil {
			err = r.Fill()
		}
	}
	if least := 16 * (arguments - maxIdle/6); most-r.BufferSize() < least {
		t.Errorf("for %d arguments and %d bytes %d were reserved", arguments, r.BufferSize(), most)
	}
	if r.Release(); held != 0 {
		t.Errorf("%d bytes were never given back", held)
	}
}

// Networks cut a stream anywhere; what the client meant must not depend on where.
func TestReaderAnySplitGivesTheSameCommands(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		stream := genStream(t)
		lim := Limits{MaxBulk: 64, MaxCommand: 100, MaxSkip: 10_000, MaxArgs: 8, MaxInline: 200}
		want, wantErr := all(bytes.NewReader(stream), lim)
		got, gotErr := all(&chopped{t: t, b: bytes.Clone(stream)}, lim)
		if !cmp.Equal(got, want) || fmt.Sprint(gotErr) != fmt.Sprint(wantErr) {
			t.Fatalf("%q: split: %v, %v; whole: %v, %v", stream, got, gotErr, want, wantErr)
		}
	})
}

// genStream draws commands, most of them well-formed.
func genStream(t *rapid.T) []byte {
	var out []byte
	for range rapid.IntRange(1, 8).Draw(t, "commands") {
		switch rapid.IntRange(0, 9).Draw(t, "kind") {
		case 0:
			out = append(out, rapid.SampledFrom([]string{
				"PING\r\n", "set \"a b\" 'c'\n", "\r\n", "*0\r\n", "set \"x\n", "*1\r\n$x\r\n", "*9\r\n", "GET \"\\x00\\\"\"\r\n",
			}).Draw(t, "line")...)
		case 1:
			out = append(out, rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "junk")...)
		default:
			args := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 90), 1, 5).Draw(t, "args")
			out = AppendCommand(out, args...)
		}
	}
	return out
}

// chopped gives its bytes in pieces of drawn lengths.
type chopped struct {
	t *rapid.T
	b []byte
}

func (c *chopped) Read(p []byte) (int, error) {
	if len(c.b) == 0 {
		return 0, io.EOF
	}
	n := rapid.IntRange(1, min(len(p), len(c.b))).Draw(c.t, "read")
	copy(p, c.b[:n])
	c.b = c.b[n:]
	return n, nil
}

// Whatever arrives, the reader must neither panic nor hang nor hold more than it was allowed.
func FuzzReader(f *testing.F) {
	f.Add([]byte("*2\r\n$3\r\nGET\r\n$1\r\nk\r\nPING\r\n"), uint8(3))
	f.Add([]byte("*1\r\n$100\r\n"+strings.Repeat("a", 100)+"\r\n*1\r\n$1\r\nb\r\n"), uint8(1))
	f.Add([]byte("set \"\\x4\" 'a\\''\n*-1\r\n*0\r\n$"), uint8(200))
	f.Fuzz(func(t *testing.T, in []byte, step uint8) {
		lim := Limits{MaxBulk: 64, MaxCommand: 100, MaxSkip: 1 << 16, MaxArgs: 16, MaxInline: 256}
		want, wantErr := all(bytes.NewReader(bytes.Clone(in)), lim)
		got, gotErr := all(&stepped{b: bytes.Clone(in), n: int(step)%17 + 1}, lim)
		if !cmp.Equal(got, want) || fmt.Sprint(gotErr) != fmt.Sprint(wantErr) {
			t.Fatalf("in steps: %v, %v; whole: %v, %v", got, gotErr, want, wantErr)
		}
	})
}

type stepped struct {
	b []byte
	n int
}

func (s *stepped) Read(p []byte) (int, error) {
	if len(s.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.b[:min(s.n, len(s.b))])
	s.b = s.b[n:]
	return n, nil
}

// A busy connection must not feed the garbage collector.
func TestReaderDoesNotAllocate(t *testing.T) {
	var one []byte
	for range 16 {
		one = AppendCommand(one, "SET", "key:000001", strings.Repeat("v", 100))
	}
	r := NewReader(&endless{b: one}, Limits{})
	read := func() {
		if err := r.Fill(); err != nil {
			t.Fatal(err)
		}
		for {
			_, ok, err := r.Next()
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				return
			}
		}
	}
	for range 100 {
		read()
	}
	if n := testing.AllocsPerRun(1000, read); n != 0 {
		t.Errorf("%v allocations for each read", n)
	}
}

// Who still holds a command that was given up must not see it change, and the stream goes on as if nothing was.
func TestReaderAbandon(t *testing.T) {
	var stream []byte
	for i := range 500 {
		stream = AppendCommand(stream, "SET", fmt.Sprintf("key:%d", i))
	}
	r := NewReader(&stepped{b: stream, n: 100}, Limits{})
	var kept [][][]byte
	for {
		cmd, ok, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			kept = append(kept, cmd.Args)
			r.Abandon()
			continue
		}
		if r.Fill() == io.EOF {
			break
		}
	}
	for i, args := range kept {
		if got := fmt.Sprintf("%s", args); got != fmt.Sprintf("[SET key:%d]", i) {
			t.Fatalf("command %d became %s", i, got)
		}
	}
	if len(kept) != 500 {
		t.Errorf("%d commands of 500", len(kept))
	}
}

// endless repeats b for ever, one whole b for each read that has room for it.
type endless struct {
	b  []byte
	at int
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.b[e.at:])
	e.at = (e.at + n) % len(e.b)
	return n, nil
}

func BenchmarkReader(b *testing.B) {
	var one []byte
	for range 16 {
		one = AppendCommand(one, "GET", "key:000001")
	}
	r := NewReader(&endless{b: one}, Limits{})
	b.ReportAllocs()
	for n := 0; n < b.N; {
		_, ok, err := r.Next()
		if err != nil {
			b.Fatal(err)
		}
		if ok {
			n++
			continue
		}
		if err := r.Fill(); err != nil {
			b.Fatal(err)
		}
	}
}
