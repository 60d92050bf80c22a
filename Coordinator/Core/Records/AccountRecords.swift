/// What is known of an account beside its contribution.
package struct AccountProfile: Hashable, Sendable {
  package var account: AccountRecord
  /// Whether its owner agreed that name and contribution are public. Others count in totals only.
  package var isNamed: Bool
  /// The name of its team.
  package var team: String?
  /// As BOINC's statistics spell it: the country's English name.
  package var country: String?
  package var url: String?
  /// Never shown; joins one person's statistics of several BOINC projects.
  package var email: String?

  package init(
    account: AccountRecord, isNamed: Bool, team: String? = nil, country: String? = nil,
    url: String? = nil, email: String? = nil
  ) {
    self.account = account
    self.isNamed = isNamed
    self.team = team
    self.country = country
    self.url = url
    self.email = email
  }
}

/// A change of an account; nil leaves a thing as it is, an empty text removes it. Texts are kept as
/// `Name.checked(_:)` gives them.
package struct AccountChange: Hashable, Sendable {
  package var isNamed: Bool?
  package var team: String?
  package var country: String?
  package var url: String?
  package var email: String?
  /// Seconds that lie between two changes of the team; 0 for the operator's changes.
  package var teamPauseSeconds: Int

  package init(
    isNamed: Bool? = nil, team: String? = nil, country: String? = nil, url: String? = nil,
    email: String? = nil, teamPauseSeconds: Int = 0
  ) {
    self.isNamed = isNamed
    self.team = team
    self.country = country
    self.url = url
    self.email = email
    self.teamPauseSeconds = teamPauseSeconds
  }

  /// Seconds between two changes of the team by an account's owner: each change may make a team,
  /// whose name is then taken.
  package static let ownersTeamPauseSeconds = 60
}

/// Whose history is asked for.
package enum HistoryScope: Hashable, Sendable {
  case everyone
  case account(id: String)
  case team(id: Int)
  case worker(id: String)
}

/// What was contributed on one day.
package struct DayContribution: Hashable, Sendable {
  package var day: Day
  package var accepted: Int
  package var rejected: Int
  package var tokens: Int
  package var credit: Credit
  package var energy = Energy()

  package init(
    day: Day, accepted: Int, rejected: Int, tokens: Int, credit: Credit, energy: Energy = Energy()
  ) {
    self.day = day
    self.accepted = accepted
    self.rejected = rejected
    self.tokens = tokens
    self.credit = credit
    self.energy = energy
  }

  /// Both together, of the day of this one.
  package func adding(_ other: DayContribution) -> DayContribution {
    DayContribution(
      day: day, accepted: accepted + other.accepted, rejected: rejected + other.rejected,
      tokens: tokens + other.tokens, credit: Credit(micro: credit.micro + other.credit.micro),
      energy: Energy(
        millijoules: energy.millijoules + other.energy.millijoules,
        estimatedMillijoules: energy.estimatedMillijoules + other.energy.estimatedMillijoules))
  }

  /// What workers say that accepted results took, and the part of it that they estimated.
  package var energyJoules: Double { energy.joules }
  package var estimatedEnergyJoules: Double { energy.estimatedJoules }
}
