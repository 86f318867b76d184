package command

// Match reports whether s matches a glob pattern as Redis defines it: '*' any run of bytes, '?' one byte, [abc],
// [a-z] and [^a] one of a set, '\' takes the next byte as it is. Set and pattern may be left unclosed.
//
// The time is bounded by the product of the two lengths: when a match fails, only the last '*' needs to take more,
// since whatever an earlier one could skip, the last one can skip as well.
func Match(pattern, s []byte) bool { return match(pattern, s, false) }

// MatchFold is Match with ASCII letters of any case alike, as for names of settings.
func MatchFold(pattern, s []byte) bool { return match(pattern, s, true) }

func match(pattern, s []byte, fold bool) bool {
	if len(pattern) == 1 && pattern[0] == '*' {
		return true
	}
	if len(s) == 0 {
		return len(pattern) == 0 // so "**" does not match the empty key: Redis' matcher gives up there too
	}
	var p, i int
	star, resume := -1, 0 // after the last '*' in the pattern, and where in s it ends for now
	for i < len(s) {
		if p < len(pattern) {
			if pattern[p] == '*' {
				p++
				star, resume = p, i
				continue
			}
			if next, ok := matchOne(pattern, p, s[i], fold); ok {
				p, i = next, i+1
				continue
			}
		}
		if star < 0 {
			return false
		}
		resume++
		p, i = star, resume
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// matchOne matches c with the element of the pattern at p, which is not a '*', and returns where the next begins.
func matchOne(pattern []byte, p int, c byte, fold bool) (next int, ok bool) {
	switch pattern[p] {
	case '?':
		return p + 1, true
	case '[':
		return matchSet(pattern, p+1, c, fold)
	case '\\':
		if p+1 < len(pattern) {
			p++
		}
	}
	return p + 1, same(pattern[p], c, fold)
}

func matchSet(pattern []byte, p int, c byte, fold bool) (next int, ok bool) {
	not := p < len(pattern) && pattern[p] == '^'
	if not {
		p++
	}
	found := false
	for ; p < len(pattern) && pattern[p] != ']'; p++ {
		switch {
		case pattern[p] == '\\' && p+1 < len(pattern):
			p++
			found = found || pattern[p] == c // escaped bytes keep their case, in Redis too
		case p+2 < len(pattern) && pattern[p+1] == '-':
			found = found || inRange(pattern[p], pattern[p+2], c, fold)
			p += 2
		default:
			found = found || same(pattern[p], c, fold)
		}
	}
	return min(p+1, len(pattern)), found != not
}

func inRange(from, to, c byte, fold bool) bool {
	if from > to {
		from, to = to, from
	}
	if fold {
		from, to, c = lower(from), lower(to), lower(c)
	}
	return from <= c && c <= to
}

func same(a, b byte, fold bool) bool { return a == b || (fold && lower(a) == lower(b)) }
