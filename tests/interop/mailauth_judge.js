// What mailauth says: cases as JSON on stdin, answers as JSON on stdout, in the same order.
// {"kind": "dmarc", author, dkim, spf, records}: result and policy by alignment of domains.
// {"kind": "verify", content, ip, helo, sender, records}: SPF and DKIM of a message (base64).
// {"kind": "sign", content, domain, selector, key, canonicalization}: DKIM-Signature fields.
// `records` has lists of TXT, A, AAAA, MX and PTR texts by "NAME TYPE"; null is a time-out.
'use strict';

const { authenticate } = require('mailauth');
const { dkimSign } = require('mailauth/lib/dkim/sign');
const dmarc = require('mailauth/lib/dmarc/verify');

const resolverOf = records => async (name, type) => {
    const found = records[`${name.toLowerCase()} ${type}`];
    if (found === undefined || found === null) {
        const error = new Error(found === null ? 'timeout' : 'not found');
        error.code = found === null ? 'ETIMEOUT' : 'ENOTFOUND';
        throw error;
    }
    return type === 'TXT' ? found.map(text => [text]) : found;
};

const judge = {
    async dmarc(asked) {
        const found = await dmarc({
            headerFrom: [`a@${asked.author}`],
            dkimDomains: asked.dkim.map(domain => ({ domain })),
            spfDomains: asked.spf ? [{ domain: asked.spf }] : [],
            resolver: resolverOf(asked.records)
        });
        return [found.status.result, found.policy || 'none'];
    },
    async verify(asked) {
        const found = await authenticate(Buffer.from(asked.content, 'base64'), {
            ip: asked.ip,
            helo: asked.helo,
            sender: asked.sender,
            mta: 'relay.test',
            trustReceived: false,
            disableArc: true,
            disableBimi: true,
            resolver: resolverOf(asked.records)
        });
        return {
            spf: found.spf ? found.spf.status.result : 'none',
            dkim: found.dkim.results.filter(one => one.signingDomain).map(one => one.status.result)
        };
    },
    async sign(asked) {
        const signed = await dkimSign(Buffer.from(asked.content, 'base64'), {
            canonicalization: asked.canonicalization,
            signatureData: [
                { signingDomain: asked.domain, selector: asked.selector, privateKey: asked.key }
            ]
        });
        if (signed.errors && signed.errors.length) throw signed.errors[0].err;
        return Buffer.from(signed.signatures).toString('base64');
    }
};

(async () => {
    const chunks = [];
    for await (const chunk of process.stdin) chunks.push(chunk);
    const answers = [];
    for (const asked of JSON.parse(Buffer.concat(chunks))) answers.push(await judge[asked.kind](asked));
    process.stdout.write(JSON.stringify(answers));
})().catch(error => {
    console.error(error);
    process.exit(1);
});
