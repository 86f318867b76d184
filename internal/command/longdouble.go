package command

import "math/big"

// The x87 extended format, the long double of C on x86-64, in which Redis computes INCRBYFLOAT: 64 bits of
// mantissa, exponents from -16382 to 16383, and below that numbers with fewer bits, down to 2^-16445.
const (
	mantissaBits = 64
	// longestFloat is the size of the buffer into which Redis copies the text of a number; what does not fit is
	// not a number.
	longestFloat = 5*1024 - 1
	// exponentBound is beyond every decimal exponent that can matter with longestFloat digits.
	exponentBound = 2 * longestFloat
)

var (
	zero = new(big.Float).SetPrec(mantissaBits)
	// overflow is the least power of two that is too large; underflow the greatest number that becomes zero.
	overflow  = new(big.Float).SetMantExp(big.NewFloat(1), 16384)
	underflow = new(big.Float).SetMantExp(big.NewFloat(1), -16446)
)

// parseLongDouble reads what C's strtold reads, as far as Redis accepts it: decimal and hexadecimal numbers and
// infinity, without surrounding spaces; not NaN, nothing that is too large or so small that it would become zero.
func parseLongDouble(b []byte) (*big.Float, bool) {
	if len(b) == 0 || len(b) > longestFloat {
		return nil, false
	}
	negative := b[0] == '-'
	if negative || b[0] == '+' {
		b = b[1:]
	}
	if equalFold(b, "inf") || equalFold(b, "infinity") {
		return new(big.Float).SetPrec(mantissaBits).SetInf(negative), true
	}
	f, ok := parseFinite(b)
	if !ok {
		return nil, false
	}
	if negative {
		f.Neg(f)
	}
	return f, true
}

// parseFinite reads a number without sign and rounds it once, to the nearest, ties to even, as C does.
func parseFinite(b []byte) (*big.Float, bool) {
	base := 10
	if len(b) > 2 && b[0] == '0' && lower(b[1]) == 'x' {
		base, b = 16, b[2:]
	}
	digits, exponent, ok := parseParts(b, base)
	if !ok {
		return nil, false
	}
	f := new(big.Float).SetPrec(mantissaBits)
	if digits.Sign() == 0 {
		return f, true
	}
	if base == 16 {
		// Rounding to 64 bits and scaling by a power of two do not disturb each other.
		f.SetInt(digits)
		f.SetMantExp(f, exponent)
	} else {
		if exponent > exponentBound || exponent < -exponentBound {
			return nil, false
		}
		power := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(exponent, -exponent))), nil)
		if exponent >= 0 {
			f.SetInt(digits.Mul(digits, power))
		} else {
			f.SetRat(new(big.Rat).SetFrac(digits, power))
		}
	}
	return f, f.Cmp(overflow) < 0 && f.Cmp(underflow) > 0
}

// parseParts reads digits with at most one point and an optional exponent, of base 10 ('e') or, after hexadecimal
// digits, of base 2 ('p'). The number is digits times the exponent's base to exponent.
func parseParts(b []byte, base int) (digits *big.Int, exponent int, ok bool) {
	var text []byte
	point := -1
	i := 0
	for ; i < len(b); i++ {
		c := lower(b[i])
		if c == '.' && point < 0 {
			point = len(text)
			continue
		}
		if !(('0' <= c && c <= '9') || (base == 16 && 'a' <= c && c <= 'f')) {
			break
		}
		text = append(text, c)
	}
	if len(text) == 0 {
		return nil, 0, false
	}
	mark, perDigit := byte('e'), 1
	if base == 16 {
		mark, perDigit = 'p', 4
	}
	if point >= 0 {
		exponent = -(len(text) - point) * perDigit
	}
	if i < len(b) {
		if lower(b[i]) != mark {
			return nil, 0, false
		}
		e, ok := parseExponent(b[i+1:])
		if !ok {
			return nil, 0, false
		}
		exponent += e
	}
	digits, ok = new(big.Int).SetString(string(text), base)
	return digits, exponent, ok
}

// parseExponent reads a signed number. What is far beyond every bound is cut to something that is so still.
func parseExponent(b []byte) (int, bool) {
	negative := len(b) > 0 && b[0] == '-'
	if negative || (len(b) > 0 && b[0] == '+') {
		b = b[1:]
	}
	if len(b) == 0 {
		return 0, false
	}
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = min(n*10+int(c-'0'), 1<<20)
	}
	if negative {
		n = -n
	}
	return n, true
}

// addLongDouble returns a+b, and false where that is not a finite number.
func addLongDouble(a, b *big.Float) (*big.Float, bool) {
	if a.IsInf() || b.IsInf() {
		return nil, false
	}
	sum := new(big.Float).SetPrec(mantissaBits).Add(a, b)
	return sum, sum.MantExp(nil) <= 16384
}

// appendLongDouble appends f with up to 17 decimals, without trailing zeros and without an exponent.
func appendLongDouble(dst []byte, f *big.Float) []byte {
	start := len(dst)
	dst = f.Append(dst, 'f', 17)
	for dst[len(dst)-1] == '0' {
		dst = dst[:len(dst)-1]
	}
	if dst[len(dst)-1] == '.' {
		dst = dst[:len(dst)-1]
	}
	if string(dst[start:]) == "-0" {
		dst = append(dst[:start], '0')
	}
	return dst
}
