package command

import "strconv"

// The errors that several commands answer, as clients know them.
const (
	errWrongType   = "WRONGTYPE Operation against a key holding the wrong kind of value"
	errNotInteger  = "ERR value is not an integer or out of range"
	errNotFloat    = "ERR value is not a valid float"
	errSyntax      = "ERR syntax error"
	errOverflow    = "ERR increment or decrement would overflow"
	errDecrement   = "ERR decrement would overflow"
	errNaN         = "ERR increment would produce NaN or Infinity"
	errOffset      = "ERR offset is out of range"
	errTooLong     = "ERR string exceeds maximum allowed size (proto-max-bulk-len)"
	errNXAndOthers = "ERR NX and XX, GT or LT options at the same time are not compatible"
	errGTAndLT     = "ERR GT and LT options at the same time are not compatible"
	errCursor      = "ERR invalid cursor"
)

func appendOK(out []byte) []byte { return append(out, "+OK\r\n"...) }

func appendNull(out []byte) []byte { return append(out, "_\r\n"...) }

func appendSimple(out []byte, s string) []byte {
	out = append(out, '+')
	out = append(out, s...)
	return append(out, "\r\n"...)
}

// appendError appends an error whose text begins with its code. Text that came from a client goes through
// appendErrorText, which keeps it on one line.
func appendError(out []byte, text string) []byte {
	out = append(out, '-')
	out = append(out, text...)
	return append(out, "\r\n"...)
}

// appendErrorText appends an error whose text may hold line breaks, which become spaces as in Redis.
func appendErrorText(out, text []byte) []byte {
	out = append(out, '-')
	for _, c := range text {
		if c == '\r' || c == '\n' {
			c = ' '
		}
		out = append(out, c)
	}
	return append(out, "\r\n"...)
}

func appendInt(out []byte, n int64) []byte {
	out = append(out, ':')
	out = strconv.AppendInt(out, n, 10)
	return append(out, "\r\n"...)
}

func appendBulk[T string | []byte](out []byte, b T) []byte {
	out = appendHeader(out, '$', len(b))
	out = append(out, b...)
	return append(out, "\r\n"...)
}

// appendHeader appends the first line of an array ('*'), set ('~'), map ('%') or bulk string ('$').
func appendHeader(out []byte, kind byte, n int) []byte {
	out = append(out, kind)
	out = strconv.AppendInt(out, int64(n), 10)
	return append(out, "\r\n"...)
}
