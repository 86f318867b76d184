// Package e2e holds the end-to-end tests: several `quord serve` processes on loopback, the clients that people use,
// real files, and kill -9. It holds no code besides its tests.
//
// TestMainJob is the one to read first; it prints a report as it goes (make job shows it). Each test makes its own
// cluster; when one fails, the nodes' directories and logs are kept and named.
package e2e
