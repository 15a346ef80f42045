export { buildWebmail, type WebmailOptions } from './app.ts';
export { ownTransactions, type Transaction, type TransactionSource } from './transaction.ts';
