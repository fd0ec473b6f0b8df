// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Shorthaul authors

// The calls of peer.js that stream: the stream service, and a list of calls of it. Everything goes
// inline, and a key is refused as docs/wire.md says.

'use strict';

const grpc = require('@grpc/grpc-js');
const { check, filled, inline, open, packages } = require('./payload.js');

const SIZES = [0, 1, 60000, 1 << 20, 20000000];
const SMALL = 5000;
const MANY = 200;
const { StreamService } = packages('stream_test.proto').haul.test;

// What test_sum() of tests/lib makes, in two halves: numbers hold 53 bits only.
function sum(bytes) {
    let low = (0x84222325 ^ bytes.length) >>> 0;
    let high = 0xcbf29ce4;
    for (const byte of bytes) {
        low = (low ^ byte) >>> 0;
        const product = low * 0x1b3; // of 1099511628211 = 0x100000001b3
        high = (Math.imul(high, 0x1b3) + Math.floor(product / 0x100000000) + (low << 8)) >>> 0;
        low = product >>> 0;
    }
    return BigInt(high) << 32n | BigInt(low);
}

// ---- Serving ----

// Calls `each` with every frame, its payloads opened, until one of them ends the call.
function receive(call, fail, each) {
    let over = false;
    call.on('data', (frame) => {
        const opened = frame.data.map(open);
        const wrong = opened.find((found) => found.code);
        if (over) {
            return;
        }
        if (wrong) {
            over = true;
            fail(wrong);
        } else {
            over = each(frame, opened.map((found) => found.bytes)) === false;
        }
    });
}

function upload(call, callback) {
    let number = 0;
    let total = 0n;
    let failed = false;
    receive(call, (error) => {
        failed = true;
        callback(error);
    }, (frame, all) => {
        number++;
        total = all.reduce((sofar, bytes) => BigInt.asUintN(64, sofar + sum(bytes)), total);
    });
    call.on('end', () => failed || callback(null, { number, sum: total.toString() }));
}

async function download(call) {
    const { count, size } = call.request;
    for (let number = 0; number < Number(count) && !call.cancelled; number++) {
        const data = [inline(filled(Number(size), number))];
        if (!call.write({ number, data })) { // of one that is cancelled, the rest never runs
            await new Promise((resolve) => call.once('drain', resolve));
            await new Promise(setImmediate); // so that a cancellation is seen
        }
    }
    call.end();
}

function chat(call) {
    let failed = false;
    const fail = (error) => {
        failed = true;
        call.emit('error', error);
    };
    receive(call, fail, (frame, all) => {
        if (frame.act === 'ACT_FAIL') {
            fail({ code: grpc.status.ALREADY_EXISTS, details: 'as asked' });
            return false;
        }
        call.write({ number: frame.number, data: all.map(inline) });
        return true;
    });
    call.on('end', () => failed || call.end());
}

function add(server) {
    server.addService(StreamService.service, {
        Upload: upload,
        Download: download,
        Chat: chat,
        Once: (call, callback) => callback(null, { number: Number(call.request.number) + 1 }),
    });
}

// ---- Calling ----

function checkFrame(frame, number, bytes) {
    check(Number(frame.number) === number && frame.data.length === 1, `frame ${number}`);
    check(bytes.equals(open(frame.data[0]).bytes), `the bytes of frame ${number}`);
}

// All frames that a call brings, and how it ended.
function all(call) {
    return new Promise((resolve) => {
        const frames = [];
        call.on('data', (frame) => frames.push(frame));
        call.on('error', () => {});
        call.on('status', (status) => resolve({ frames, status }));
    });
}

async function checkUpload(client) {
    let total = 0n;
    const answer = await new Promise((resolve, reject) => {
        const call = client.Upload((error, response) => (error ? reject(error) : resolve(response)));
        for (let i = 0; i < 40; i++) {
            const bytes = filled(i === 7 ? SIZES[3] : SMALL - i, i);
            total = BigInt.asUintN(64, total + sum(bytes));
            call.write({ number: i, data: [inline(bytes)] });
        }
        call.end();
    });
    check(Number(answer.number) === 40 && BigInt(answer.sum) === total, 'the sum of an upload');
}

async function checkDownload(client, count, size) {
    const { frames, status } = await all(client.Download({ count, size }));
    check(status.code === grpc.status.OK && frames.length === count, `${count} frames`);
    frames.forEach((frame, i) => checkFrame(frame, i, filled(size, i)));
}

async function checkChat(client, sizes) {
    const call = client.Chat();
    const ending = all(call);
    sizes.forEach((size, number) => call.write({ number, data: [inline(filled(size, number))] }));
    call.end();
    const { frames, status } = await ending;
    check(status.code === grpc.status.OK && frames.length === sizes.length, 'a chat');
    frames.forEach((frame, i) => checkFrame(frame, i, filled(sizes[i], i)));
}

async function checkEnd(client, frame, code, refused) {
    const call = client.Chat();
    const ending = all(call);
    call.write(frame);
    const { status } = await ending;
    check(status.code === code && status.metadata.get('shorthaul-refused')[0] === refused,
        `ended ${status.code} instead of ${code}`);
}

async function call(address, options) {
    const client = new StreamService(address, grpc.credentials.createInsecure(), options);
    await checkUpload(client);
    await checkDownload(client, MANY, SMALL);
    await checkDownload(client, 3, SIZES[3]);
    await checkChat(client, SIZES);
    await checkChat(client, Array.from({ length: MANY }, (_, i) => SMALL + i));
    await checkEnd(client, { act: 'ACT_FAIL' }, grpc.status.ALREADY_EXISTS);
    await checkEnd(client, { data: [{ length: 6, inline: Buffer.from('bytes') }] },
        grpc.status.INVALID_ARGUMENT);
    await checkEnd(client, { data: [{ length: 6, key: { pool_id: 1, ticket: 2 } }] },
        grpc.status.FAILED_PRECONDITION, 'key');
    client.close();
}

module.exports = { add, call };
