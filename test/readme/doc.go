// Package readme runs what README.md shows. A reader who types the tour must see what the tour says, so the text is
// the test: every fenced block marked "console" is a session in a shell, in the order of the page.
//
//	$ redis-cli -p 7001 set greeting hello
//	OK
//
// A line that begins with "$ " is run by bash with the built quord in the PATH; the lines up to the next one are
// what it must print. Real output holds figures that differ each time, so what is compared is the shape (Shape):
// numbers, identifiers, times, runs of blanks and the drawn bars of tables are alike whatever their value. A line
// that is only "..." stands for any number of lines. A command whose block is marked "console skip" is shown and not
// run; the test then says so. A block marked "console background" runs until the end. The ports of the page are replaced by
// free ones, so that the test can run beside a ring that somebody uses.
package readme
