/** The text of mail dialogues: lines, contents and replies, cut anywhere. */
import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { EndedError, Input, ViolationError } from '../../src/aux/smtp/input.ts';
import { keyOf } from '../../src/aux/smtp/mail.ts';
import { ReplyParser, withoutExtensions } from '../../src/aux/smtp/reply.ts';

/** The text in pieces of these sizes, again and again. */
function pieces(text: string, sizes: readonly number[]): Buffer[] {
  const all: Buffer[] = [];
  for (let at = 0, i = 0; at < text.length; i++) {
    const size = sizes[i % sizes.length]!;
    all.push(Buffer.from(text.slice(at, at + size), 'latin1'));
    at += size;
  }
  return all;
}

async function contentOf(input: Input): Promise<string> {
  let text = '';
  for await (const part of input.content()) text += part.toString('latin1');
  return text;
}

const sizes = fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 6 });

suite('what a back end says', () => {
  test('lines, a content and lines again, cut anywhere', async () => {
    const line = fc.stringMatching(/^[ -~]{0,12}$/);
    const content = fc
      .array(fc.constantFrom('\r\n', '.', 'a', '\n', '\r', '..'), { maxLength: 20 })
      .map(parts => parts.join(''))
      .filter(text => !`\r\n${text}\r\n`.includes('\r\n.\r\n'));
    await fc.assert(
      fc.asyncProperty(line, content, line, sizes, async (before, text, after, cuts) => {
        const stream = new PassThrough();
        const input = new Input(stream);
        const body = text === '' || text.endsWith('\r\n') ? text : `${text}\r\n`;
        fc.pre(!`\r\n${body}`.includes('\r\n.\r\n'));
        for (const piece of pieces(`${before}\r\n${body}.\r\n${after}\r\n`, cuts)) stream.write(piece);
        stream.end();
        assert.equal(await input.line(), before);
        assert.equal(await contentOf(input), body);
        assert.equal(await input.line(), after);
        assert.equal(await input.line(), undefined);
      }),
    );
  });

  test('a content that breaks off is no content', async () => {
    for (const text of ['words\r\n', 'words\r\n.', 'words\n.\n', '']) {
      const stream = new PassThrough();
      stream.end(text);
      await assert.rejects(contentOf(new Input(stream)), EndedError, JSON.stringify(text));
    }
  });

  test('a line without an end is a violation', async () => {
    const stream = new PassThrough();
    stream.write('x'.repeat(20_000));
    await assert.rejects(new Input(stream).line(), ViolationError);
  });
});

suite('what a server says', () => {
  test('replies of one line and several, cut anywhere', () => {
    const replies = ['220 here\r\n', '250-one\r\n250-two\r\n250 three\r\n', '354\r\n', '550 5.1.1 no\n'];
    fc.assert(
      fc.property(sizes, cuts => {
        const parser = new ReplyParser();
        const read = pieces(replies.join(''), cuts).flatMap(piece => parser.take(piece));
        assert.deepEqual(
          read.map(({ text }) => text),
          replies,
        );
        assert.deepEqual(
          read.map(({ code }) => code),
          [220, 250, 354, 550],
        );
      }),
    );
  });

  test('what is no reply, or has no end, is refused', () => {
    assert.throws(() => new ReplyParser().take(Buffer.from('HTTP/1.1 400 Bad Request\r\n')), RangeError);
    const parser = new ReplyParser();
    assert.throws(() => {
      for (let i = 0; i < 10_000; i++) parser.take(Buffer.from('250-more and more\r\n'));
    }, RangeError);
  });

  test('extensions that could not be followed are not offered', () => {
    const text =
      '250-mail.example\r\n250-PIPELINING\r\n250-STARTTLS\r\n250-CHUNKING\r\n' +
      '250-AUTH LOGIN PLAIN CRAM-MD5 XOAUTH2\r\n250 SIZE 1000\r\n';
    assert.equal(
      withoutExtensions({ code: 250, text }).text,
      '250-mail.example\r\n250-PIPELINING\r\n250-AUTH LOGIN PLAIN\r\n250 SIZE 1000\r\n',
    );
    const last = '250-x\r\n250 STARTTLS\r\n';
    assert.equal(withoutExtensions({ code: 250, text: last }).text, '250 x\r\n');
  });
});

test('a command’s key is what it is about, not its size', () => {
  assert.equal(keyOf('MAIL FROM:<a@x> SIZE=10 BODY=8BITMIME'), 'MAIL a@x');
  assert.equal(keyOf('mail from:<a@x>'), 'MAIL a@x');
  assert.equal(keyOf('RCPT TO: <B@x>'), 'RCPT B@x');
  assert.equal(keyOf('RCPT TO:b'), 'RCPT TO:b');
});
