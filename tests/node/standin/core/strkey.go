package main

import (
	"crypto/ed25519"
	"encoding/base32"
	"errors"
)

// The first byte of a key's text form, by its kind.
const (
	accountByte = 6 << 3
	seedByte    = 18 << 3
)

var strKeyEncoding = base32.StdEncoding.WithPadding(base32.NoPadding)

var errKey = errors.New("invalid strKey")

// crc16 is CRC-16/XMODEM, which ends each key's text form.
func crc16(data []byte) uint16 {
	var crc uint16
	for _, b := range data {
		crc ^= uint16(b) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return crc
}

// encodeKey returns the text form of 32 bytes: G… or S….
func encodeKey(kind byte, raw []byte) string {
	data := append([]byte{kind}, raw...)
	crc := crc16(data)
	return strKeyEncoding.EncodeToString(append(data, byte(crc), byte(crc>>8)))
}

// decodeKey reads the text form of a given kind.
func decodeKey(kind byte, text string) ([]byte, error) {
	data, err := strKeyEncoding.DecodeString(text)
	if err != nil || len(data) != 35 || data[0] != kind {
		return nil, errKey
	}
	if crc := crc16(data[:33]); data[33] != byte(crc) || data[34] != byte(crc>>8) {
		return nil, errKey
	}
	return data[1:33], nil
}

// publicKey returns the text form of a secret key's public half.
func publicKey(key ed25519.PrivateKey) string {
	return encodeKey(accountByte, key.Public().(ed25519.PublicKey))
}

// short returns how logs and answers show a key without a name.
func short(key string) string {
	if len(key) < 5 {
		return key
	}
	return key[:5]
}
