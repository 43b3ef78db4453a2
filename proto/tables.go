package proto

import "fanfare/loop"

// policies are the names of what is done with slow consumers.
var policies = []struct {
	name  string
	class uint8
}{
	{"disconnect", loop.Disconnect},
	{"drop-oldest", loop.DropOldest},
	{"conflate", loop.Conflate},
	{"drop-newest", loop.DropNewest},
}

// refusedHelp says what is counted for each kind of refusal.
var refusedHelp = map[string]string{
	handshake: "Upgrades refused, by the code that the client was told.",
	message:   "Messages of clients answered by an error, by its code.",
	request:   "Plain HTTP requests refused, by the code that the client was told.",
}
