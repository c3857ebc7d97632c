package metadata

import "github.com/fozlog/foz/metadata/logpb"

// Defects are bugs that the simulator plants to see whether its checker finds them: each
// takes one protection away. The zero value, production's, has none.
type Defects struct {
	ClaimsTrimmed       bool // claims are trimmed like other slots
	ClaimUncovered      bool // no covered test after the own claim
	TimeoutIsFailure    bool // an ambiguous PUT is answered as a definite failure
	NoReadBack          bool // 412 is a definite failure, without a look at what lies there
	ExistsIsMine        bool // 412 means that the first try succeeded
	BytesNotFrozen      bool // a retry encodes the entry anew
	LostIsFailure       bool // LOST is answered as a definite failure
	SnapshotNoResults   bool // the snapshot leaves the dedupe table out
	SnapshotNoClaims    bool // the snapshot leaves the claims out
	TrimEarly           bool // trim before the snapshot is durable
	TrimToNewest        bool // trim bound is the newest snapshot, whatever state is held
	TrimBoundListed     bool // trim bound from the listing only, not from the state held
	ReadLocal           bool // a read is answered without any request
	ReadJoins           bool // a read joins a request issued before it arrived
	ReaderUncovered     bool // readers apply a CLAIM without the covered test
	FollowerNoRelist    bool // a follower that sees 404 never lists snapshots
	BroadcastBeforeMine bool // an entry is broadcast before its PUT is MINE
	BroadcastAnySlot    bool // a broadcast is applied whatever its slot and chain
	ChainUnchecked      bool // entries are applied without a look at chain and epoch
	SwapUncheckedInputs bool // a swap is applied whether or not its inputs are live
	SwapOutsideFloor    bool // a swap is applied without floor and dedupe table
	UnknownSkipped      bool // a binary from before RETAIN goes on where it meets one

	// RetainUnknown is no bug: a binary from before RETAIN, which halts where it meets one.
	RetainUnknown bool
}

// thaw changes the bytes of an entry of commands: what BytesNotFrozen does to a retry.
func thaw(body []byte) []byte {
	e, err := DecodeEntry(body)
	if err != nil || e.GetCommands() == nil {
		return body
	}
	e.GetCommands().Commands = append(e.GetCommands().Commands, &logpb.Command{
		Id: CommandID(e.Slot, "thawed"), Body: &logpb.Command_Noop{Noop: &logpb.Noop{}},
	})
	return encodeEntry(e)
}
