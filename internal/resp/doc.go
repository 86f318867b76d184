// Package resp is the Redis protocol as bytes: RESP2 and RESP3, the side of the server and of a client.
//
// It owns
//   - Reader, which takes a client's commands out of a stream: arrays of bulk strings, as programs send them, and
//     inline commands, as people type them;
//   - the Append functions, which build replies as RESP3 bytes, and Downgrade, which turns one whole RESP3 reply into
//     RESP2 by syntax alone;
//   - Value, Parse and ReplyReader, the other side: a reply as a tree.
//
// It refuses to know commands, to log, and to open connections: it sees an io.Reader and slices. The package is pure.
//
// # Limits
//
// A length is judged before memory is taken for what it announces. Memory grows with what has arrived, at most twice as
// fast as the bytes and by some for each argument, so a client that announces much and sends little costs little. An argument that is longer than
// the limit is read past, never kept, and its command is delivered as Oversize: the client gets an error that says so
// and keeps its connection. What makes the rest of the stream unreadable is a ProtocolError; its text is Redis'.
//
// # What goes over the wire
//
// A command is an array of bulk strings:
//
//	'*' count CRLF  then count times  '$' length CRLF bytes CRLF
//
// or one line of words that ends with LF (an optional CR before it is dropped): words are separated by blanks;
// "..." may hold \xHH, \n, \r, \t, \b, \a and any other escaped byte, '...' may hold \'.
//
// A reply starts with one byte that says what it is:
//
//	RESP2: '+' line  '-' error line  ':' integer  '$' length CRLF bytes  '*' count CRLF values
//	RESP3: '_' null  '#' t or f  ',' double  '(' big number  '!' length CRLF error  '=' length CRLF txt:bytes
//	       '%' count CRLF pairs  '~' count CRLF values  '>' count CRLF values (a push)  '|' count CRLF pairs (attributes)
//
// Downgrade maps '_' to "$-1", '#' to ":1" or ":0", ',' and '(' and '=' to a bulk string, '!' to an error line, '%' to an
// array of twice the count, '~' and '>' to an array, and drops attributes.
//
// # Concurrency
//
// Nothing here is safe for use by several goroutines at once; functions of slices hold no state.
package resp
