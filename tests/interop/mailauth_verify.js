// Verifies messages with mailauth: {files, records} as JSON on standard input; for each file a list of
// [result, domain, selector] on standard output. The DNS is what `records` says, and nothing else.
'use strict';
const fs = require('fs');
const { dkimVerify } = require('mailauth/lib/dkim/verify');
const { files, records } = JSON.parse(fs.readFileSync(0, 'utf8'));

async function resolver(name, type) {
    const found = type === 'TXT' && records[name];
    if (found) return [[found]];
    throw Object.assign(new Error(`no ${type} at ${name}`), { code: 'ENOTFOUND' });
}

async function main() {
    const answers = [];
    for (const file of files) {
        const { results } = await dkimVerify(fs.readFileSync(file), { resolver, minBitLength: 1024 });
        answers.push(results.map((r) => [r.status.result, r.signingDomain, r.selector]));
    }
    console.log(JSON.stringify(answers));
}

main();
