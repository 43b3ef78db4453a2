//go:build race

package ws

const raceEnabled = true // sync.Pool drops objects at random then
