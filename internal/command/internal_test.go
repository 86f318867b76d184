package command

import (
	"math"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// A number that is read as another one is a wrong count.
func TestParseIntReadsWhatIsPrinted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64().Draw(t, "n")
		if got, ok := parseInt(strconv.AppendInt(nil, n, 10)); !ok || got != n {
			t.Fatalf("%d becomes %d, %v", n, got, ok)
		}
		s := rapid.StringMatching(`[-+ ]?0?[0-9]{0,20}`).Draw(t, "s")
		want, err := strconv.ParseInt(s, 10, 64)
		canonical := err == nil && strconv.FormatInt(want, 10) == s
		if got, ok := parseInt([]byte(s)); ok != canonical || ok && got != want {
			t.Fatalf("%q becomes %d, %v", s, got, ok)
		}
		u := rapid.Uint64().Draw(t, "u")
		if got, ok := parseUint(strconv.AppendUint(nil, u, 10)); !ok || got != u {
			t.Fatalf("%d becomes %d, %v", u, got, ok)
		}
	})
	for _, s := range []string{"", "18446744073709551616", "99999999999999999999", "-1", "1x", "000000000000000000001"} {
		if n, ok := parseUint([]byte(s)); ok {
			t.Errorf("%q is read as %d", s, n)
		}
	}
}

// What INCRBYFLOAT has printed, it can read again, and adding nothing changes nothing.
func TestLongDoubleReadsWhatItPrints(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := []byte(rapid.StringMatching(`-?[0-9]{1,19}(\.[0-9]{1,17})?(e-?[0-9]{1,2})?`).Draw(t, "number"))
		f, ok := parseLongDouble(text)
		if !ok {
			t.Fatalf("%s is not a number", text)
		}
		if want, err := strconv.ParseFloat(string(text), 64); err != nil || !near(want, f.Text('g', 20)) {
			t.Fatalf("%s becomes %s", text, f.Text('g', 20))
		}
		printed := appendLongDouble(nil, f)
		again, ok := parseLongDouble(printed)
		if !ok {
			t.Fatalf("%s is printed as %s, which is not a number", text, printed)
		}
		sum, ok := addLongDouble(again, zero)
		if twice := appendLongDouble(nil, sum); !ok || string(twice) != string(printed) {
			t.Fatalf("%s is printed as %s and then as %s", text, printed, twice)
		}
	})
}

func near(want float64, text string) bool {
	got, err := strconv.ParseFloat(text, 64)
	return err == nil && math.Abs(got-want) <= 1e-15*math.Abs(want)
}

// reference is the matcher as one would define it: slow, and plainly right.
func reference(p, s []byte) bool {
	if len(p) == 0 {
		return len(s) == 0
	}
	if p[0] == '*' {
		return reference(p[1:], s) || len(s) > 0 && reference(p, s[1:])
	}
	if len(s) == 0 {
		return false
	}
	next, ok := matchOne(p, 0, s[0], false)
	return ok && reference(p[next:], s[1:])
}

// A pattern that matches too much deletes what it should not; one that takes forever stops a tablet.
func FuzzMatch(f *testing.F) {
	for _, seed := range [][2]string{
		{"*", ""},
		{"**", ""},
		{"a*b*c", "aXbXc"},
		{"[a-c]?\\*", "bx*"},
		{"[^a", "b"},
		{"[", "["},
		{"\\", "\\"},
		{"[]a]", "a"},
		{"[\\]]*", "]]"},
		{"[z-a]", "m"},
		{"*a*a*a*b", "aaaaaaaaaaaaaaaaaaaa"},
	} {
		f.Add([]byte(seed[0]), []byte(seed[1]))
	}
	f.Fuzz(func(t *testing.T, pattern, s []byte) {
		got := Match(pattern, s)
		MatchFold(pattern, s)
		if len(pattern) > 12 || len(s) > 12 || len(s) == 0 {
			return // the reference takes exponential time, and knows nothing of Redis' word on the empty string
		}
		if got != reference(pattern, s) {
			t.Errorf("Match(%q, %q) = %v", pattern, s, got)
		}
	})
}

// The pattern that costs a naive matcher exponential time is answered at once.
func TestMatchIsBounded(t *testing.T) {
	if Match([]byte(strings.Repeat("a*", 1000)+"b"), []byte(strings.Repeat("a", 10_000))) {
		t.Error("a pattern that ends in b matches what does not")
	}
}

func FuzzLongDouble(f *testing.F) {
	for _, seed := range []string{
		"0", "-1.5e300", "0x1p-16445", "1e-4951", "inf", "nan", ".", "0x", "1e99999999999999999999", "0e9999999999", "1.189e4932",
	} {
		f.Add([]byte(seed), []byte("1"))
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		x, ok := parseLongDouble(a)
		y, ok2 := parseLongDouble(b)
		if !ok || !ok2 {
			return
		}
		sum, ok := addLongDouble(x, y)
		if !ok {
			return
		}
		text := appendLongDouble(nil, sum)
		again, ok := parseLongDouble(text)
		if !ok || again.IsInf() {
			t.Errorf("%q + %q = %q, which is not a number", a, b, text)
		}
	})
}

func FuzzParseScan(f *testing.F) {
	f.Add([]byte("0"), []byte("match"), []byte("*"), []byte("count"), []byte("5"))
	f.Add([]byte("18446744073709551615"), []byte("TYPE"), []byte("string"), []byte("count"), []byte("-1"))
	f.Fuzz(func(t *testing.T, cursor, w1, v1, w2, v2 []byte) {
		o, problem := ParseScan([][]byte{[]byte("scan"), cursor, w1, v1, w2, v2})
		if problem != "" {
			return
		}
		if o.Count < 1 {
			t.Errorf("COUNT %d is accepted", o.Count)
		}
		again, problem := ParseScan(o.Command())
		if problem != "" || again.Cursor != o.Cursor || again.Count != o.Count ||
			string(again.Match) != string(o.Match) || string(again.Type) != string(o.Type) {
			t.Errorf("%+v is sent to a tablet as %+v: %s", o, again, problem)
		}
	})
}

func FuzzParseReplies(f *testing.F) {
	f.Add([]byte("*3\r\n$2\r\n17\r\n$1\r\na\r\n$0\r\n\r\n"))
	f.Add([]byte("*18446744073709551615\r\n"))
	f.Add([]byte("*1\r\n$18446744073709551615\r\n"))
	f.Fuzz(func(t *testing.T, reply []byte) {
		if _, keys, err := ParseScanReply(reply); err == nil {
			size := 0
			for _, k := range keys {
				size += len(k)
			}
			if size > len(reply) {
				t.Errorf("%d bytes of keys out of %d", size, len(reply))
			}
		}
	})
}
