//go:build race

package stream

// raceDetector is on: it takes memory of its own.
const raceDetector = true
