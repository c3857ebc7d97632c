//go:build race

package httpapi

// raceEnabled: the race detector's own memory makes figures of ours meaningless.
const raceEnabled = true
