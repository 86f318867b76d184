package resp

import (
	"bytes"
	"errors"
	"io"
)

const (
	// minBuffer is what an idle connection costs; maxIdle is what a busy one may keep between two waves.
	minBuffer = 4 << 10
	maxIdle   = 64 << 10
	// keepArgs is how many arguments an idle connection may remember; argSize is what one takes while its command arrives
	// and when it is delivered.
	keepArgs = 4096
	argSize  = 40
	// shrinkAfter is the number of fills in a row that leave most of the buffer unused before it is halved.
	shrinkAfter = 64
)

// ErrMemory is returned by Fill when the Reader's Reserve function refused the memory that a command needs.
var ErrMemory = errors.New("resp: no memory left for requests")

// Command is one command of a client.
type Command struct {
	// Args are the name and the arguments. They alias the Reader's buffer until the next Fill.
	Args [][]byte
	// Oversize is 0, or the length of the longest argument of a command that was over the limits. Such a command was
	// read past and has no Args.
	Oversize int
	// Size is the number of bytes of the arguments that were kept.
	Size int
}

// Reader takes commands out of a stream. Next parses what has been read and never blocks; Fill reads once more. So a
// session takes all commands of one read at once, and everything it took stays valid until it asks for more.
type Reader struct {
	// Reserve, where set, is asked before the Reader takes n bytes beyond what an idle connection keeps, and told
	// with a negative n when that memory is given back. A refusal ends the stream.
	Reserve func(n int) bool

	src      io.Reader
	lim      Limits
	buf      []byte
	r, w     int // buf[r:w] has been read and does not belong to a command yet
	reserved int // what Reserve granted
	idle     int // fills in a row that used little of the buffer
	err      error

	abandoned bool // the next Fill takes new memory

	argv [][]byte // the arguments of all commands since the last Fill

	// The command that has arrived in part. Its bytes start at buf[r].
	left  int // arguments still to come; 0: no command has begun
	off   int // where parsing goes on, relative to r
	bulk  int // length of the argument whose header has been read; -1: none
	skip  int // bytes to drop before parsing goes on (the rest of an argument over the limits and its CRLF)
	over  int // the longest argument that was dropped
	kept  int // bytes of the arguments that were kept
	spans []span
	need  int // bytes, relative to r, that the next step wants to see; 0: unknown
}

// span is an argument relative to r.
type span struct{ start, end int }

// NewReader returns a Reader of src.
func NewReader(src io.Reader, lim Limits) *Reader {
	return &Reader{src: src, lim: lim.withDefaults(), bulk: -1}
}

// SetLimits replaces the limits from the next header on.
func (r *Reader) SetLimits(lim Limits) { r.lim = lim.withDefaults() }

// Buffered returns the number of bytes that have been read and not been taken by Next.
func (r *Reader) Buffered() int { return r.w - r.r }

// BufferSize returns the size of the buffer in bytes.
func (r *Reader) BufferSize() int { return len(r.buf) }

// Abandon gives up the memory of all commands so far: it will not be used again, for someone may still read it.
func (r *Reader) Abandon() { r.abandoned = true }

// Release gives back what Reserve granted. The Reader must not be used afterwards.
func (r *Reader) Release() {
	r.give(r.reserved)
	r.buf, r.argv, r.spans = nil, nil, nil
	r.r, r.w = 0, 0
	r.err = io.ErrClosedPipe
}

// Next returns the next command that is complete in the buffer; ok is false when there is none. An error is a
// ProtocolError and final: Next and Fill return it from then on.
func (r *Reader) Next() (cmd Command, ok bool, err error) {
	if r.err != nil {
		return Command{}, false, r.err
	}
	for r.r < r.w || r.skip > 0 {
		if !r.dropSkipped() {
			return Command{}, false, nil
		}
		var done bool
		if !r.inCommand() && r.buf[r.r] != '*' {
			cmd, done, err = r.inline()
		} else {
			cmd, done, err = r.array()
		}
		if err != nil {
			r.err = err
			return Command{}, false, err
		}
		if !done {
			return Command{}, false, nil
		}
		if cmd.Args != nil || cmd.Oversize > 0 {
			return cmd, true, nil
		}
		// An empty line or an empty array is no command.
	}
	return Command{}, false, nil
}

// dropSkipped forgets bytes of an argument over the limits; it reports whether all of them have gone.
func (r *Reader) dropSkipped() bool {
	n := min(r.skip, r.w-r.r)
	r.r += n
	r.skip -= n
	return r.skip == 0
}

// inCommand reports whether an array has begun that has not been delivered.
func (r *Reader) inCommand() bool { return r.left > 0 || r.over > 0 }

// array goes on with an array of bulk strings. An array without elements is done with no Args.
func (r *Reader) array() (cmd Command, done bool, err error) {
	b := r.buf[r.r:r.w]
	if !r.inCommand() {
		n, used, err := header(b, r.lim.MaxInline, errMultibulkLine, errMultibulk)
		if err != nil || used == 0 {
			return Command{}, false, err
		}
		if n <= 0 {
			r.r += used
			return Command{}, true, nil
		}
		if n > int64(r.lim.MaxArgs) {
			if r.lim.Unauthenticated {
				return Command{}, false, errMultibulkNoAuth
			}
			return Command{}, false, errMultibulk
		}
		r.left, r.off = int(n), used
		r.bulk, r.over, r.kept, r.need = -1, 0, 0, 0
		r.spans = r.spans[:0]
	}
	for r.left > 0 {
		if r.bulk < 0 {
			if r.off >= len(b) {
				return Command{}, false, nil
			}
			if b[r.off] != '$' {
				return Command{}, false, errExpectedBulk(b[r.off])
			}
			n, used, err := header(b[r.off:], r.lim.MaxInline, errBulkLine, errBulk)
			if err != nil || used == 0 {
				return Command{}, false, err
			}
			if err := r.admit(n); err != nil {
				return Command{}, false, err
			}
			r.off += used
			if r.over > 0 || n > int64(r.lim.MaxBulk) || r.kept+int(n) > r.lim.MaxCommand {
				// The command is refused as a whole: nothing of it is kept from here on.
				r.over = max(r.over, int(n))
				r.r += r.off
				r.off, r.kept, r.spans = 0, 0, r.spans[:0]
				r.skip = int(n) + 2
				r.left--
				if !r.dropSkipped() {
					return Command{}, false, nil
				}
				b = r.buf[r.r:r.w]
				continue
			}
			r.bulk = int(n)
			r.kept += r.bulk
		}
		end := r.off + r.bulk
		if end+2 > len(b) {
			r.need = end + 2
			return Command{}, false, nil
		}
		if b[end] != '\r' || b[end+1] != '\n' {
			return Command{}, false, errBulkEnd
		}
		r.spans = append(r.spans, span{r.off, end})
		r.off, r.bulk = end+2, -1
		r.left--
	}
	r.need = 0
	if over := r.over; over > 0 {
		r.over = 0
		return Command{Oversize: over}, true, nil
	}
	start := len(r.argv)
	for _, s := range r.spans {
		r.argv = append(r.argv, b[s.start:s.end:s.end])
	}
	r.r += r.off
	r.off = 0
	return Command{Args: r.argv[start:len(r.argv):len(r.argv)], Size: r.kept}, true, nil
}

// admit judges the announced length of an argument.
func (r *Reader) admit(n int64) error {
	switch {
	case n < 0 || n > int64(r.lim.MaxSkip) && !r.lim.Unauthenticated:
		return errBulk
	case r.lim.Unauthenticated && n > int64(r.lim.MaxBulk):
		return errBulkNoAuth
	}
	return nil
}

// inline takes one line. A line without words is done with no Args.
func (r *Reader) inline() (cmd Command, done bool, err error) {
	b := r.buf[r.r:r.w]
	nl := bytes.IndexByte(b[:min(len(b), r.lim.MaxInline+1)], '\n')
	if nl < 0 {
		if len(b) > r.lim.MaxInline {
			return Command{}, false, errInline
		}
		return Command{}, false, nil
	}
	line := b[:nl]
	if nl > 0 && line[nl-1] == '\r' {
		line = line[:nl-1]
	}
	start := len(r.argv)
	argv, err := splitLine(r.argv, line)
	if err != nil {
		return Command{}, false, err
	}
	r.argv = argv
	r.r += nl + 1
	args := argv[start:len(argv):len(argv)]
	if len(args) == 0 {
		return Command{}, true, nil
	}
	if len(args) > r.lim.MaxArgs {
		return Command{}, false, errMultibulk
	}
	for _, a := range args {
		cmd.Size += len(a)
	}
	cmd.Args = args
	return cmd, true, nil
}

// header reads "*n\r\n" or "$n\r\n" at the start of b. used is 0 when the line is not complete.
func header(b []byte, maxLine int, tooLong, invalid ProtocolError) (n int64, used int, err error) {
	// Nearly every header is one or two digits: no search for its end.
	if len(b) >= 4 && b[2] == '\r' && b[3] == '\n' && b[1]-'0' <= 9 {
		return int64(b[1] - '0'), 4, nil
	}
	if len(b) >= 5 && b[3] == '\r' && b[4] == '\n' && b[1]-'1' <= 8 && b[2]-'0' <= 9 {
		return int64(b[1]-'0')*10 + int64(b[2]-'0'), 5, nil
	}
	cr := bytes.IndexByte(b[:min(len(b), maxLine+1)], '\r')
	if cr < 0 {
		if len(b) > maxLine {
			return 0, 0, tooLong
		}
		return 0, 0, nil
	}
	if cr+1 >= len(b) {
		return 0, 0, nil
	}
	n, ok := ParseInt(b[1:cr])
	if !ok || b[cr+1] != '\n' {
		return 0, 0, invalid
	}
	return n, cr + 2, nil
}

// Fill reads once from the source, waiting for at least one byte. What earlier calls of Next returned is invalid from
// now on. It returns the source's error, io.ErrUnexpectedEOF where a command was cut off, or ErrMemory.
func (r *Reader) Fill() error {
	if r.err != nil {
		return r.err
	}
	if err := r.makeRoom(); err != nil {
		r.err = err
		return err
	}
	for range 100 {
		n, err := r.src.Read(r.buf[r.w:])
		r.w += n
		if n > 0 {
			return nil
		}
		if err != nil {
			if err == io.EOF && (r.w > r.r || r.inCommand()) {
				err = io.ErrUnexpectedEOF
			}
			r.err = err
			return err
		}
	}
	r.err = io.ErrNoProgress
	return r.err
}

// makeRoom moves what is unread to the front and sees to free space behind it.
func (r *Reader) makeRoom() error {
	if cap(r.argv) > keepArgs {
		r.argv = nil
	}
	if r.left == 0 && cap(r.spans) > keepArgs {
		r.spans = nil
	}
	if r.abandoned {
		r.argv = nil
	}
	clear(r.argv)
	r.argv = r.argv[:0]

	unread := r.w - r.r
	size := len(r.buf)
	switch {
	case size == 0:
		size = minBuffer
	case r.need > size:
		// Memory follows the bytes that have arrived: at most twice as much.
		size = max(size, min(r.need, max(2*unread, maxIdle)))
		r.idle = 0
	case unread == size, r.w == size && size < maxIdle:
		// The last read filled the buffer, so more is waiting.
		size *= 2
		r.idle = 0
	case size > maxIdle && unread <= maxIdle/2 && r.need <= maxIdle:
		size = maxIdle
	case size > minBuffer && r.w < size/4 && r.need == 0:
		if r.idle++; r.idle >= shrinkAfter {
			size /= 2
			r.idle = 0
		}
	default:
		r.idle = 0
	}
	// Many arguments of no length take more memory than their bytes.
	if want := max(0, size-maxIdle) + argSize*max(0, len(r.spans)-keepArgs); want > r.reserved {
		if r.Reserve != nil && !r.Reserve(want-r.reserved) {
			return ErrMemory
		}
		r.reserved = want
	} else {
		r.give(r.reserved - want)
	}
	if size == len(r.buf) && !r.abandoned {
		if r.r > 0 {
			copy(r.buf, r.buf[r.r:r.w])
			r.r, r.w = 0, unread
		}
		return nil
	}
	r.abandoned = false
	buf := make([]byte, size)
	copy(buf, r.buf[r.r:r.w])
	r.buf, r.r, r.w = buf, 0, unread
	return nil
}

func (r *Reader) give(n int) {
	if n > 0 && r.Reserve != nil {
		r.Reserve(-n)
	}
	r.reserved -= n
}
