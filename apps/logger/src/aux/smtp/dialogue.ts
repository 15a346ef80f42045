// A mail dialogue of one transaction: with the SMTP server on one side, and on the other with whichever back end runs the
// transaction. It outlives them. What was answered once is answered from here; only what is new goes to the server.

import type { ProxyHeader } from '@resplice/protocol';
import type { DialogueKey, Outcomes } from '../outcomes.ts';
import type { AuxiliaryTally } from '../tally.ts';
import { EndedError } from './input.ts';
import { Mail } from './mail.ts';
import { isAlike, isPositive, isSettled, type Reply, reply, withoutExtensions } from './reply.ts';
import { Upstream, UpstreamLostError, type UpstreamOptions } from './upstream.ts';

export interface DialogueOptions {
  readonly key: DialogueKey;
  readonly upstream: UpstreamOptions;
  readonly outcomes: Outcomes;
  readonly tally: AuxiliaryTally;
  /** What each back end said last to introduce itself, by number: it will say the same. Shared by all dialogues with the server. */
  readonly introductions: Map<number, string>;
}

/** The server did not greet. */
export class RefusedError extends Error {
  readonly reply: Reply;

  constructor(answer: Reply) {
    super(`the SMTP server says ${answer.text.trimEnd()}`);
    this.reply = answer;
  }
}

/** What is asked for now and what is on record cannot be the same. */
export class MismatchError extends Error {}

/** In whose name connections to the server are opened. */
export interface Identity {
  readonly header: ProxyHeader;
  /** The lines by which the back end logged in: to log in again where a connection is lost. They are kept nowhere else. */
  readonly credentials: string[];
}

/** The present back end's connection. */
export interface Voice extends Identity {
  /** Sends a challenge and returns the answer. @throws EndedError */
  challenge(challenge: Reply): Promise<string>;
}

interface Hello {
  readonly verb: string;
  readonly line: string;
  readonly reply: Reply;
}

/** A record's answers to AUTH say nothing of its challenges; those of these mechanisms are fixed (RFC 4616, LOGIN's draft). */
function challengesOf(line: string): Reply[] {
  const [, mechanism = '', initial] = line.split(/\s+/);
  const plain = [reply(334, '')];
  const login = [reply(334, 'VXNlcm5hbWU6'), reply(334, 'UGFzc3dvcmQ6')];
  const all = mechanism.toUpperCase() === 'LOGIN' ? login : plain;
  return initial === undefined ? all : all.slice(1);
}

export class Dialogue {
  readonly #options: DialogueOptions;
  #greeting: Reply | undefined;
  #hello: Hello | undefined;
  #auth: Reply | undefined;
  readonly #mails: Mail[] = [];
  #upstream: Upstream | undefined;
  /** The back end's first command has been told to the server before it came. */
  #isForeseen = false;
  /** The server takes whatever comes for content. */
  #isInContent = false;
  /** That the dot is about to go out is being recorded, while the content is still coming; how to undo it. */
  #intent: Promise<() => void> | undefined;
  /** Of the one before. */
  #undone: Promise<void> | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: DialogueOptions) {
    this.#options = options;
  }

  /** With what is on the disk of it. */
  static async restored(options: DialogueOptions): Promise<Dialogue> {
    const dialogue = new Dialogue(options);
    for (const record of await options.outcomes.mails(options.key)) {
      if (record === undefined) continue;
      dialogue.#greeting = record.greeting;
      dialogue.#auth = record.auth ?? undefined;
      if (record.hello !== null) {
        const { verb, reply: answer } = record.hello;
        dialogue.#hello = { verb, line: `${verb} restored.invalid`, reply: answer };
      }
      dialogue.#mails[record.index] = Mail.of(record);
    }
    return dialogue;
  }

  /** Something was begun that only this object knows: a successor would miss it. */
  get isUnfinished(): boolean {
    const begun = this.#mails.filter(mail => mail?.isBlank === false);
    return begun.length > 0 ? begun.some(mail => !mail.isRecorded) : this.#greeting !== undefined;
  }

  /** The server may have accepted a message without our knowing it. */
  get isInDoubt(): boolean {
    const { outcomes, key } = this.#options;
    return outcomes.isDoubtful(key);
  }

  mail(index: number): Mail {
    this.#mails[index] ??= new Mail();
    return this.#mails[index];
  }

  /** @throws UpstreamLostError, RefusedError */
  greet(voice: Identity): Promise<Reply> {
    return this.#inTurn(async () => {
      if (this.#greeting === undefined) await this.#connected(voice);
      return this.#greeting!;
    });
  }

  hello(line: string, voice: Identity): Promise<Reply> {
    const verb = line.slice(0, 4).toUpperCase();
    return this.#inTurn(async () => {
      if (this.#hello?.verb === verb) {
        // Should the server have to be greeted again, then by the name of who is there now.
        this.#hello = { ...this.#hello, line };
        return this.#replay(this.#hello.reply);
      }
      const { caller } = voice.header;
      if (caller !== undefined) this.#options.introductions.set(caller.backend, line);
      const answer = await this.#ask(line, voice);
      if (!isPositive(answer)) return answer;
      this.#hello = { verb, line, reply: verb === 'EHLO' ? withoutExtensions(answer) : answer };
      return this.#hello.reply;
    });
  }

  auth(line: string, voice: Voice): Promise<Reply> {
    return this.#inTurn(async () => {
      voice.credentials.splice(0, Number.POSITIVE_INFINITY, line);
      const answerTo = async (challenge: Reply): Promise<string> => {
        const answer = await voice.challenge(challenge);
        voice.credentials.push(answer);
        return answer;
      };
      if (this.#auth !== undefined) {
        for (const challenge of challengesOf(line)) await answerTo(challenge);
        return this.#replay(this.#auth);
      }
      try {
        let answer = await this.#ask(line, { header: voice.header, credentials: [] });
        while (answer.code === 334) answer = await this.#upstream!.command(await answerTo(answer));
        if (isPositive(answer)) this.#auth = answer;
        return answer;
      } catch (error) {
        // The server waits for a line that will not come.
        if (error instanceof EndedError) this.#upstream?.abort('the back end broke off');
        throw error;
      }
    });
  }

  /** A message's commands that have come together, before they are said one by one: the server gets them together, too. */
  foresee(index: number, lines: readonly string[]): Promise<void> {
    return this.#inTurn(async () => {
      const isPipelining = /^250[ -]PIPELINING\r?$/im.test(this.#hello?.reply.text ?? '');
      if (isPipelining && this.mail(index).isBlank && !this.#isInContent) this.#upstream?.sendAhead(lines);
    });
  }

  /** A command of the message's envelope. @throws MismatchError, UpstreamLostError, RefusedError */
  say(index: number, key: string, line: string, voice: Identity): Promise<Reply> {
    return this.#inTurn(async () => {
      const mail = this.mail(index);
      const known = mail.steps.get(key)?.reply;
      // What was refused for the time being is asked again, as long as it can make a difference.
      if (known !== undefined && (isSettled(known) || mail.final !== undefined)) return this.#replay(known);
      if (mail.final !== undefined || (key.startsWith('MAIL ') && mail.contradicts(key))) {
        throw new MismatchError(line);
      }
      const answer = await this.#ask(line, voice);
      mail.steps.set(key, { line, reply: answer });
      return answer;
    });
  }

  /**
   * DATA.
   * @returns where the content goes; or `final`, when there was an answer to it before, and it goes nowhere
   * @throws MismatchError when the message on record is for others; LogWriteError, UpstreamLostError, RefusedError
   */
  data(
    index: number,
    recipientKeys: ReadonlySet<string>,
    voice: Identity,
  ): Promise<{ answer: Reply; upstream?: Upstream; final?: Reply }> {
    return this.#inTurn(async () => {
      const mail = this.mail(index);
      if (!mail.isFor(recipientKeys)) throw new MismatchError('the recipients');
      if (mail.final !== undefined) {
        if (!mail.isRecorded) await this.#record(index, mail);
        return {
          answer: reply(354, 'End data with <CR><LF>.<CR><LF>'),
          final: this.#replay(mail.final),
        };
      }
      const answer = await this.#ask('DATA', voice);
      this.#isInContent = answer.code === 354;
      if (!this.#isInContent) return { answer };
      const { outcomes, key } = this.#options;
      await this.#undone;
      this.#intent = outcomes.intend(key);
      // The dot waits for it, unless there is none.
      this.#intent.catch(() => {});
      return { answer, upstream: this.#upstream! };
    });
  }

  /**
   * The final dot, behind all of the content.
   * @returns its answer, which is on the disk if it is settled
   * @throws UpstreamLostError: the message may have been accepted. LogWriteError: with `mail.final` set, it has been answered;
   * without, the dot was not sent
   */
  finish(index: number, upstream: Upstream): Promise<Reply> {
    return this.#inTurn(async () => {
      const mail = this.mail(index);
      const intent = this.#intent!;
      this.#isInContent = false;
      this.#intent = undefined;
      let undo: () => void;
      try {
        undo = await intent;
      } catch (error) {
        upstream.abort('what it would answer could not be recorded');
        throw error;
      }
      const answer = await upstream.command('.');
      // It ends: of the message that says as little as a connection that breaks.
      if (answer.code === 421) throw new UpstreamLostError(answer.text.trimEnd());
      if (!isSettled(answer)) {
        undo();
        this.#mails[index] = new Mail();
        return answer;
      }
      mail.final = answer;
      await this.#record(index, mail);
      return answer;
    });
  }

  /** The content broke off: without its dot nothing of it is delivered (RFC 5321 4.1.1.4). */
  abort(upstream: Upstream): void {
    this.#isInContent = false;
    this.#options.tally.contentsAborted++;
    upstream.abort('the content broke off');
    const intent = this.#intent;
    this.#intent = undefined;
    if (intent === undefined) return;
    this.#undone = intent.then(
      undo => undo(),
      () => {},
    );
  }

  /** Nothing that was said of this message counts any longer, unless it was answered in full. */
  discard(index: number): void {
    const mail = this.mail(index);
    if (mail.final !== undefined || mail.isBlank) return;
    this.#mails[index] = new Mail();
    this.#upstream?.abort('the message is given up');
  }

  /** No back end comes back to it. Resolves when what was under way is done. */
  close(): Promise<void> {
    return this.#inTurn(async () => {
      const open = this.#mails.at(-1);
      // Whoever began it is gone, and did not even see that it might begin.
      if (this.#isInContent) this.abort(this.#upstream!);
      else if (open === undefined || open.isBlank || open.final !== undefined) this.#upstream?.quit();
      else this.#upstream?.abort('the message is given up');
      await this.#undone;
    });
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => {});
    return result;
  }

  #replay(known: Reply): Reply {
    this.#options.tally.replayed++;
    return known;
  }

  async #ask(line: string, voice: Identity): Promise<Reply> {
    // Whoever began it is gone, and did not even see that it might begin.
    if (this.#isInContent) this.abort(this.#upstream!);
    const isUsed = this.#upstream?.isLost === false;
    try {
      const answer = await (await this.#connected(voice)).command(line);
      if (answer.code !== 421 || !isUsed) return answer;
    } catch (error) {
      // It may have broken off long ago, unnoticed: then it deserves a second try.
      if (!isUsed || !(error instanceof UpstreamLostError)) throw error;
    }
    return await (await this.#connected(voice)).command(line);
  }

  /** A connection to the server that stands where the dialogue stands. */
  async #connected(voice: Identity): Promise<Upstream> {
    if (this.#upstream?.isLost === false) return this.#upstream;
    const { tally, upstream: options } = this.#options;
    if (this.#upstream !== undefined) tally.upstreamLost++;
    tally.dialled++;
    const { upstream, greeting } = await Upstream.open(options, voice.header);
    if (!isPositive(greeting)) {
      upstream.abort('it did not greet');
      throw new RefusedError(greeting);
    }
    this.#upstream = upstream;
    this.#greeting ??= greeting;
    const again = async (line: string, before: Reply): Promise<void> => {
      const answer = await upstream.command(line);
      if (isAlike(answer, before)) return;
      upstream.abort('it does not say what it said before');
      throw new MismatchError(`${before.text.trimEnd()} has become ${answer.text.trimEnd()}`);
    };
    if (this.#hello !== undefined) await again(this.#hello.line, this.#hello.reply);
    else this.#foreseeHello(voice);
    const [login, ...answers] = voice.credentials;
    if (login !== undefined) {
      let answer = await upstream.command(login);
      for (const next of answers) if (answer.code === 334) answer = await upstream.command(next);
      if (answer.code === 334) answer = await upstream.command('*');
      if (this.#auth !== undefined && !isPositive(answer)) {
        upstream.abort('it does not know the user any more');
        throw new MismatchError(answer.text.trimEnd());
      }
    }
    const open = this.#mails.at(-1);
    if (open === undefined || open.final !== undefined) return upstream;
    if (open.accepted.length > 0) tally.envelopesReplayed++;
    for (const [, step] of open.accepted) await again(step.line, step.reply);
    return upstream;
  }

  /** While the back end reads the greeting: one turn less that it waits for. */
  #foreseeHello({ header: { caller } }: Identity): void {
    const line = caller && this.#options.introductions.get(caller.backend);
    if (line === undefined || this.#isForeseen) return;
    this.#isForeseen = true;
    this.#upstream?.sendAhead([line]);
  }

  async #record(index: number, mail: Mail): Promise<void> {
    const { key, outcomes } = this.#options;
    const hello = this.#hello && { verb: this.#hello.verb, reply: this.#hello.reply };
    const steps = [...mail.steps].map(([name, step]) => ({ key: name, ...step }));
    const greeting = this.#greeting!;
    await outcomes.keep(
      {
        kind: 'mail',
        ...key,
        index,
        greeting,
        hello: hello ?? null,
        auth: this.#auth ?? null,
        steps,
        final: mail.final!,
      },
      true,
    );
    mail.isRecorded = true;
  }
}
