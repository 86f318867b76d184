package resp

// splitLine appends the words of an inline command to argv, by the rules of Redis' sdssplitargs. Words without quotes
// alias the line; a quoted word is unescaped in place, which never makes it longer.
func splitLine(argv [][]byte, line []byte) ([][]byte, error) {
	i := 0
	for {
		for i < len(line) && isSpace(line[i]) {
			i++
		}
		if i == len(line) {
			return argv, nil
		}
		start, out := i, i
		for i < len(line) && !isSpace(line[i]) {
			switch line[i] {
			case '"', '\'':
				var err error
				if out, i, err = unquote(line, out, i); err != nil {
					return nil, err
				}
			case 0: // sdssplitargs works on C strings: the line ends here
				return append(argv, line[start:out:out]), nil
			default:
				line[out] = line[i]
				out++
				i++
			}
		}
		argv = append(argv, line[start:out:out])
	}
}

// unquote copies the quoted part that starts at line[i] down to line[out:]. A closing quote must be followed by a
// blank or the end of the line.
func unquote(line []byte, out, i int) (int, int, error) {
	quote := line[i]
	i++
	for i < len(line) {
		c := line[i]
		switch {
		case c == quote:
			if i+1 < len(line) && !isSpace(line[i+1]) {
				return 0, 0, errQuotes
			}
			return out, i + 1, nil
		case c == '\\' && quote == '\'' && i+1 < len(line) && line[i+1] == '\'':
			c = '\''
			i++
		case c == '\\' && quote == '"' && i+3 < len(line) && line[i+1] == 'x' && isHex(line[i+2]) && isHex(line[i+3]):
			c = unhex(line[i+2])<<4 | unhex(line[i+3])
			i += 3
		case c == '\\' && quote == '"' && i+1 < len(line):
			i++
			c = escaped(line[i])
		}
		line[out] = c
		out++
		i++
	}
	return 0, 0, errQuotes
}

func escaped(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'b':
		return '\b'
	case 'a':
		return '\a'
	}
	return c
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

func isHex(c byte) bool { return c-'0' <= 9 || c|0x20 >= 'a' && c|0x20 <= 'f' }

func unhex(c byte) byte {
	if c-'0' <= 9 {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}
