// Package sim runs the whole house in one process under one seed, and checks what comes out.
//
// It knows every room and wires them as cmd does; production code runs unchanged. It refuses
// to know real time, real sockets and real disks: a seed runs inside a testing/synctest
// bubble, over a bucket and a bus in memory, and each of their calls parks at a gate. The
// [Driver] waits until nothing can run, sorts what has parked by name, lets the seeded
// generator decide when each call takes effect and what its caller is told, and moves
// virtual time to the next of those moments. So the same seed gives the same run, decision
// by decision, and the hash of its trace says so.
//
// docs/reliability.md says what is simulated, what is checked, and gives the figures.
package sim
