package main

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"time"
)

// The numbers of a HELLO record, as recorded.
const (
	helloMessage      = 13
	ledgerVersion     = 26
	overlayVersion    = 40
	overlayMinVersion = 38
	envelopeAuth      = 3
	// maxRecord limits what is read from a peer.
	maxRecord = 1 << 20
	lastBit   = 1 << 31
)

var errHello = errors.New("received a malformed HELLO")

// hello is what a node tells another when they meet.
type hello struct {
	networkID [32]byte
	version   string
	port      int
	id        string
	overlay   uint32
	// expires is when its certificate expires.
	expires time.Time
}

// writeRecord writes bytes after their length, whose high bit marks the last fragment.
func writeRecord(w io.Writer, body []byte) error {
	record := binary.BigEndian.AppendUint32(nil, uint32(len(body))|lastBit)
	_, err := w.Write(append(record, body...))
	return err
}

// readRecord reads what writeRecord writes.
func readRecord(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	length := binary.BigEndian.Uint32(head[:])
	if length&lastBit == 0 || length&^lastBit > maxRecord {
		return nil, errors.New("received a record that is too long")
	}
	body := make([]byte, length&^lastBit)
	_, err := io.ReadFull(r, body)
	return body, err
}

// encodeHello is an AuthenticatedMessage v0 that holds HELLO, with a certificate for a fresh Curve25519 key.
func encodeHello(c *config) ([]byte, error) {
	session, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	var nonce [32]byte
	if _, err := rand.Read(nonce[:]); err != nil {
		return nil, err
	}
	expiration := uint64(time.Now().Add(time.Hour).Unix())
	signed := certificateHash(c.networkID, expiration, session.PublicKey().Bytes())
	u32, u64 := binary.BigEndian.AppendUint32, binary.BigEndian.AppendUint64
	b := u32(nil, 0)
	b = u64(b, 0)
	b = u32(b, helloMessage)
	b = u32(b, ledgerVersion)
	b = u32(b, overlayVersion)
	b = u32(b, overlayMinVersion)
	b = append(b, c.networkID[:]...)
	version := "v" + c.version
	b = u32(b, uint32(len(version)))
	b = append(b, version...)
	b = append(b, make([]byte, (4-len(version)%4)%4)...)
	b = u32(b, uint32(c.peerPort))
	b = u32(b, 0)
	b = append(b, c.seed.Public().(ed25519.PublicKey)...)
	b = append(b, session.PublicKey().Bytes()...)
	b = u64(b, expiration)
	b = u32(b, ed25519.SignatureSize)
	b = append(b, ed25519.Sign(c.seed, signed)...)
	b = append(b, nonce[:]...)
	return append(b, make([]byte, 32)...), nil
}

func certificateHash(networkID [32]byte, expiration uint64, key []byte) []byte {
	b := append([]byte(nil), networkID[:]...)
	b = binary.BigEndian.AppendUint32(b, envelopeAuth)
	b = binary.BigEndian.AppendUint64(b, expiration)
	sum := sha256.Sum256(append(b, key...))
	return sum[:]
}

// decodeHello reads a HELLO and verifies that the key that it names signed its certificate.
func decodeHello(body []byte) (hello, error) {
	var h hello
	r := bytes.NewReader(body)
	var fixed struct {
		Version  uint32
		Sequence uint64
		Type     uint32
		Ledger   uint32
		Overlay  uint32
		Minimum  uint32
		Network  [32]byte
		Length   uint32
	}
	if err := binary.Read(r, binary.BigEndian, &fixed); err != nil || fixed.Version != 0 || fixed.Type != helloMessage || fixed.Length > 100 {
		return h, errHello
	}
	version := make([]byte, (fixed.Length+3)/4*4)
	var rest struct {
		Port       int32
		KeyType    uint32
		Key        [32]byte
		Session    [32]byte
		Expiration uint64
		Length     uint32
		Signature  [64]byte
		Nonce      [32]byte
		MAC        [32]byte
	}
	if _, err := io.ReadFull(r, version); err != nil {
		return h, errHello
	}
	if err := binary.Read(r, binary.BigEndian, &rest); err != nil || rest.KeyType != 0 || rest.Length != 64 {
		return h, errHello
	}
	h = hello{
		fixed.Network, string(version[:fixed.Length]), int(rest.Port), encodeKey(accountByte, rest.Key[:]), fixed.Overlay,
		time.Unix(int64(rest.Expiration), 0),
	}
	if !ed25519.Verify(rest.Key[:], certificateHash(h.networkID, rest.Expiration, rest.Session[:]), rest.Signature[:]) {
		return h, errors.New("received a HELLO whose certificate does not hold")
	}
	return h, nil
}
