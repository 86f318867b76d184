package resp

// Downgrade appends reply, one whole RESP3 reply, to dst as RESP2. It returns ErrReply, and dst as it was, when reply is
// not one whole well-formed reply.
func Downgrade(dst, reply []byte) ([]byte, error) {
	if len(reply) > 0 {
		switch reply[0] {
		case '+', '-', ':', '$': // the same in both, and nearly all replies
			return append(dst, reply...), nil
		}
	}
	start := len(dst)
	at := 0
	for left := int64(1); left > 0; left-- {
		t, err := next(reply[at:])
		if err != nil {
			return dst[:start], ErrReply
		}
		at += t.size
		switch t.kind {
		case '_':
			dst = append(dst, "$-1\r\n"...)
		case '#':
			if t.text[0] == 't' {
				dst = append(dst, ":1\r\n"...)
			} else {
				dst = append(dst, ":0\r\n"...)
			}
		case ',', '(':
			dst = AppendBulk(dst, t.text)
		case '=':
			dst = AppendBulk(dst, t.text[4:])
		case '!':
			dst = AppendError(dst, string(t.text))
		case '*', '%', '~', '>':
			dst = AppendArray(dst, int(t.n))
			left += t.n
		case '|':
			for range t.n {
				n, err := Len(reply[at:])
				if err != nil {
					return dst[:start], ErrReply
				}
				at += n
			}
			left++
		default:
			dst = append(dst, reply[at-t.size:at]...)
		}
		if left-1 > int64(len(reply)-at) {
			return dst[:start], ErrReply
		}
	}
	if at != len(reply) {
		return dst[:start], ErrReply
	}
	return dst, nil
}
