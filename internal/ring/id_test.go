package ring

import (
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func drawID(space Space) *rapid.Generator[ID] {
	return rapid.Custom(func(t *rapid.T) ID {
		// Few distinct numbers, so that equal ones meet, and the ends of the space.
		switch rapid.IntRange(0, 3).Draw(t, "shape") {
		case 0:
			return space.Of(rapid.Uint64Range(0, 8).Draw(t, "small"))
		case 1:
			return space.Distance(space.Of(rapid.Uint64Range(0, 8).Draw(t, "below the top")), ID{})
		default:
			var id ID
			copy(id[:], rapid.SliceOfN(rapid.Byte(), len(id), len(id)).Draw(t, "bytes"))
			return space.wrap(words(id))
		}
	})
}

// A wrong sum or difference sends fingers and keys to the wrong place. Checked against math/big.
func TestArithmeticWraps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		space := Space{rapid.IntRange(1, MaxBits).Draw(t, "bits")}
		a, b := drawID(space).Draw(t, "a"), drawID(space).Draw(t, "b")
		i := rapid.IntRange(0, space.Bits-1).Draw(t, "i")
		mod := new(big.Int).Lsh(big.NewInt(1), uint(space.Bits))
		num := func(id ID) *big.Int { return new(big.Int).SetBytes(id[:]) }
		same := func(what string, got ID, want *big.Int) {
			if want.Mod(want, mod); num(got).Cmp(want) != 0 || !space.Contains(got) {
				t.Fatalf("%s: got %v, want %v", what, got, want)
			}
		}
		same("a+b", space.Add(a, b), new(big.Int).Add(num(a), num(b)))
		same("b-a", space.Distance(a, b), new(big.Int).Sub(num(b), num(a)))
		same("a+2^i", space.AddPower(a, i), new(big.Int).Add(num(a), new(big.Int).Lsh(big.NewInt(1), uint(i))))
	})
}

// Between decides who owns a key: it must be strict, wrap, and agree with clockwise distance.
func TestBetween(t *testing.T) {
	for _, c := range []struct {
		a, x, b uint64
		want    bool
	}{
		{4, 8, 15, true},
		{4, 4, 15, false},
		{4, 15, 15, false},
		{4, 20, 15, false},
		{58, 63, 4, true},
		{58, 0, 4, true},
		{58, 4, 4, false},
		{58, 20, 4, false},
		{8, 9, 8, true},
		{8, 7, 8, true},
		{8, 8, 8, false},
	} {
		s := Space{6}
		if got := Between(s.Of(c.a), s.Of(c.x), s.Of(c.b)); got != c.want {
			t.Errorf("Between(%d, %d, %d) = %t", c.a, c.x, c.b, got)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		space := Space{rapid.IntRange(1, MaxBits).Draw(t, "bits")}
		id := drawID(space)
		a, x, b := id.Draw(t, "a"), id.Draw(t, "x"), id.Draw(t, "b")
		want := x != a && (a == b || x != b && space.Distance(a, x).Compare(space.Distance(a, b)) < 0)
		if got := Between(a, x, b); got != want {
			t.Fatalf("Between(%v, %v, %v) = %t", a, x, b, got)
		}
		if a != b && x != a && x != b && Between(a, x, b) == Between(b, x, a) {
			t.Fatalf("%v lies on both or neither side of %v and %v", x, a, b)
		}
	})
}

// In the papers' examples a person wants to read their numbers, elsewhere the beginning of what ID.String shows.
func TestShort(t *testing.T) {
	id := Space{256}.AddPower(Space{256}.Of(7), 255)
	if got := id.Short(); got != "80000000" || !strings.HasPrefix(id.String(), got) || len(id.String()) != 64 {
		t.Errorf("%s is shown as %q", id, got)
	}
	if got := (Space{6}).Of(44).Short(); got != "44" {
		t.Errorf("44 is shown as %q", got)
	}
}
