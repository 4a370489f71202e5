// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package spool keeps deliveries on disk while the API server is away, so that they may be answered and are not lost.
//
// A spool is a folder of its own with one file for each delivery:
//
//	lock                                            held by the process that uses the folder
//	20261123T074403.123456Z-00000001.delivery       a delivery; names sort by time of arrival
//	.20261123T074403.123456Z-00000001.delivery      being written; removed when the folder is opened
//	set-aside/20261123T074403.123456Z-00000001.delivery.expired   a delivery that is not stored any more, and why
//
// A file is written under another name, synced and renamed, and the folder is synced, before Put returns: what was put
// survives kill -9 and a power cut, as far as the disk keeps what it was told to sync. The first line of a file names the
// version of its format and the SHA-256 of all that follows; the second is a JSON object that says where the delivery
// came from; the rest is its body as it was received. No header of a request and no signature is in it.
package spool
