package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes.
type Size int64

// The units of sizes.
const (
	KiB Size = 1 << 10
	MiB Size = 1 << 20
	GiB Size = 1 << 30
	TiB Size = 1 << 40
)

// sizeUnits lists what ParseSize reads and, in falling order, what String writes. A bare K, M or G is not among
// them: half of the world means 1000 by it and the other half 1024.
var sizeUnits = []struct {
	name string
	size Size
}{
	{"TiB", TiB},
	{"TB", 1e12},
	{"GiB", GiB},
	{"GB", 1e9},
	{"MiB", MiB},
	{"MB", 1e6},
	{"KiB", KiB},
	{"KB", 1e3},
	{"B", 1},
}

const sizeWant = "a size such as 1048576, 512KB, 32MiB or 1.5GiB (units B KB KiB MB MiB GB GiB TB TiB)"

// ParseSize reads a number of bytes: a whole number, or a number and a unit (B, KB, KiB, MB, MiB, GB, GiB, TB, TiB).
// The case of the unit does not matter.
func ParseSize(text string) (Size, error) {
	end := strings.LastIndexAny(text, "0123456789.") + 1
	number, unit := text[:end], strings.TrimSpace(text[end:])
	factor := Size(0)
	if unit == "" {
		factor = 1
	}
	for _, u := range sizeUnits {
		if strings.EqualFold(unit, u.name) {
			factor = u.size
		}
	}
	// Digits and one point only: ParseFloat would also take hexadecimal numbers, exponents and underscores.
	if factor == 0 || number == "" || strings.Trim(number, "0123456789.") != "" {
		return 0, fmt.Errorf("size %q: want %s", text, sizeWant)
	}
	if whole, err := strconv.ParseInt(number, 10, 64); err == nil {
		if whole > math.MaxInt64/int64(factor) {
			return 0, fmt.Errorf("size %q: too large", text)
		}
		return Size(whole) * factor, nil
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || factor == 1 {
		return 0, fmt.Errorf("size %q: want %s", text, sizeWant)
	}
	if f*float64(factor) >= math.MaxInt64 {
		return 0, fmt.Errorf("size %q: too large", text)
	}
	return Size(f * float64(factor)), nil
}

// String writes s with the largest binary unit that divides it; ParseSize reads it back exactly.
func (s Size) String() string {
	for _, u := range sizeUnits {
		if strings.HasSuffix(u.name, "iB") && s >= u.size && s%u.size == 0 {
			return strconv.FormatInt(int64(s/u.size), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}
