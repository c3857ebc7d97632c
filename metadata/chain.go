package metadata

import "crypto/sha256"

// chainHash commits to every byte of the log up to a slot:
// chain(0) = SHA-256(cluster), chain(x) = SHA-256(chain(x-1) || body of log/x).
type chainHash [sha256.Size]byte

func genesisChain(cluster [16]byte) chainHash { return sha256.Sum256(cluster[:]) }

func (c chainHash) next(body []byte) chainHash {
	h := sha256.New()
	h.Write(c[:])
	h.Write(body)
	return chainHash(h.Sum(nil))
}
