/// The answer to `GET /worker/v1/standing`: what a worker and its account have contributed so far.
package struct Standing: Codable, Hashable, Sendable {
  /// Of one worker, or of all workers of an account.
  package struct Contribution: Codable, Hashable, Sendable {
    /// Units whose results were accepted.
    package var units: Int
    /// Tokens in them.
    package var tokens: Int
    /// Credit in all.
    package var credit: Double
    /// Credit a day over the recent past; half of it is forgotten every week.
    package var recentAverageCredit: Double
    /// Of the present day of UTC; nil from a coordinator that is older.
    package var unitsToday: Int?
    package var creditToday: Double?

    package init(
      units: Int, tokens: Int, credit: Double, recentAverageCredit: Double,
      unitsToday: Int? = nil, creditToday: Double? = nil
    ) {
      self.units = units
      self.tokens = tokens
      self.credit = credit
      self.recentAverageCredit = recentAverageCredit
      self.unitsToday = unitsToday
      self.creditToday = creditToday
    }
  }
  package var worker: Contribution
  package var account: Contribution
  /// The account's place by credit; 1 has most, and accounts with equal credit have one place.
  package var rank: Int
  /// Accounts in all.
  package var accounts: Int

  package init(worker: Contribution, account: Contribution, rank: Int, accounts: Int) {
    self.worker = worker
    self.account = account
    self.rank = rank
    self.accounts = accounts
  }
}
