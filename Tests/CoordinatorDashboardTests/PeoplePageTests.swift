import CoordinatorCore
import CoordinatorDashboard
import CoordinatorStore
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Testing

@Suite("Pages of people: leaderboard, teams, accounts, workers")
struct PeoplePageTests {
  private static let everywhere = ["/", "/jobs", "/models", "/leaderboard", "/account"]

  @Test("equal credit is an equal rank, and the next one counts them all")
  func ranks() {
    #expect(RankedAccount.ranks(ofFalling: [9, 5, 5, 1, 0, 0, 0]) == [1, 2, 2, 4, 5, 5, 5])
    #expect(RankedAccount.ranks(ofFalling: []) == [])
  }

  @Test("the leaderboard names who agreed, counts everyone, and shows each their own place")
  func leaderboard() async throws {
    let coordinator = try await TestDashboard()
    let ann = try await coordinator.worker("attic", account: "ann")
    let bob = try await coordinator.worker("secret-machine", account: "secret-bob", isNamed: false)
    try await coordinator.contribute([ann, bob], daysAgo: [0, 1, 2, 40])
    _ = try await coordinator.store.changeAccount(
      named: "ann", AccountChange(team: "Engines <&>"), now: TestDashboard.start)
    let key = try await coordinator.accountKey("secret-bob")
    try await coordinator.test { client in
      let page = try await client.page("/leaderboard")
      #expect(page.status == 200 && page.problems.isEmpty, "\(page.problems)")
      #expect(page.text.contains("1 ann Engines &lt;&amp;&gt;"))
      #expect(page.text.contains("1 account is not named and contributed"))
      #expect(page.text.contains("3 days") && !page.body.contains("secret"))
      #expect(page.body.contains("Credit a day of ann"))
      #expect(page.body.contains("aria-current=\"page\">Leaderboard"))
      let own = try await client.page("/leaderboard?by=tokens&days=90", key: key)
      #expect(own.problems.isEmpty, "\(own.problems)")
      #expect(
        own.text.contains("Your account secret-bob is number 1 of 2. You alone see this line"))
      #expect(own.body.contains("<a href=\"/account\">secret-bob</a>"))
      #expect(own.text.contains("Tokens a day of ann"))
      #expect(own.body.contains("/leaderboard?by=tokens&amp;days=365"))
      // What nobody offers is the default, not an error.
      for query in ["?by=age", "?page=0", "?page=99999999999999999999", "?page=9", "?days=1"] {
        let odd = try await client.page("/leaderboard" + query)
        #expect(odd.status == 200 && odd.problems.isEmpty && odd.text.contains("1 ann"))
      }
    }
  }

  @Test("a long leaderboard has pages, and the team's page has its named members")
  func pagesAndTeams() async throws {
    let coordinator = try await TestDashboard()
    for number in 0..<53 {
      _ = try await coordinator.worker("m\(number)", account: "account-\(100 + number)")
    }
    let quiet = try await coordinator.worker("q", account: "secret-q", isNamed: false)
    let loud = try await coordinator.worker("l", account: "account-100")
    try await coordinator.contribute([quiet, loud])
    for name in ["account-100", "secret-q"] {
      _ = try await coordinator.store.changeAccount(
        named: name, AccountChange(team: "Engines"), now: TestDashboard.start)
    }
    try await coordinator.test { client in
      let first = try await client.page("/leaderboard")
      #expect(first.text.contains("Accounts 1 to 50 of 53") && first.text.contains("account-149"))
      #expect(!first.text.contains("account-150") && first.body.contains("rel=\"next\""))
      let second = try await client.page("/leaderboard?page=2")
      #expect(second.text.contains("account-150") && !second.text.contains("account-149"))
      #expect(!second.body.contains("rel=\"next\"") && second.problems.isEmpty)
      let team = try await client.page("/teams/1")
      #expect(team.status == 200 && team.problems.isEmpty, "\(team.problems)")
      #expect(team.text.contains("Team Engines") && team.text.contains("1 account-100"))
      #expect(team.text.contains("1 member is not named") && !team.body.contains("secret"))
      for path in ["/teams/2", "/teams/x", "/teams/99999999999999999999", "/teams/01", "/teams/+1"]
      {
        #expect(try await client.page(path).status == 404)
      }
    }
  }

  @Test("every page beyond the last one is the last one, made once")
  func pagesBeyondTheLast() async throws {
    let coordinator = try await TestDashboard()
    for number in 0..<53 {
      _ = try await coordinator.worker("m\(number)", account: "account-\(100 + number)")
    }
    try await coordinator.test(interval: .seconds(600)) { client in
      let last = try await client.page("/leaderboard?page=2")
      #expect(last.text.contains("Accounts 51 to 53 of 53"))
      // What comes later is not seen: nothing is made again.
      _ = try await coordinator.worker("late", account: "account-199")
      for page in ["3", "02", "77", "100000", "9999999"] {
        #expect(try await client.page("/leaderboard?page=\(page)").body == last.body)
      }
    }
  }

  @Test("a history has the days that are asked for, however they are spelled")
  func historyDays() async throws {
    let coordinator = try await TestDashboard()
    let ann = try await coordinator.worker("a", account: "ann")
    try await coordinator.contribute([ann, try await coordinator.worker("b", account: "bob")],
      daysAgo: [0, 40, 400])
    try await coordinator.test { client in
      for scope in ["", "&account=ann"] {
        for (days, count) in [("1", 1), ("40", 1), ("041", 2), ("400", 2), ("401", 3), ("3660", 3)]
        {
          let answer = try await client.page("/stats/history?days=\(days)\(scope)")
          #expect(answer.status == 200)
          #expect(
            answer.body.components(separatedBy: "\"day\"").count == count + 1, "\(days) \(scope)")
        }
      }
      #expect(try await client.page("/stats/history?team=none").status == 404)
    }
  }

  @Test("an account's page opens with its key alone, in a cookie or a header")
  func accountNeedsKey() async throws {
    let coordinator = try await TestDashboard()
    let ann = try await coordinator.worker("attic", account: "ann", isNamed: false)
    let bob = try await coordinator.worker("b", account: "bob")
    try await coordinator.contribute([ann, bob])
    let (annKey, bobKey) = try await (
      coordinator.accountKey("ann"), coordinator.accountKey("bob")
    )
    let path = "/accounts/\(ann.accountID)"
    try await coordinator.test { client in
      let without = try await client.page(path)
      #expect(without.status == 401 && without.problems.isEmpty, "\(without.problems)")
      #expect(without.body.contains("action=\"/sign-in\"") && !without.body.contains("attic"))
      #expect(try await client.page(path, key: "tally-account-wrong").status == 401)
      // Another's key tells nothing of whether the account exists.
      let other = try await client.page(path, key: bobKey)
      let none = try await client.page("/accounts/account_none", key: bobKey)
      #expect(other.status == 404 && none.status == 404 && !other.body.contains("attic"))
      let own = try await client.page(path, key: annKey)
      #expect(own.status == 200 && own.problems.isEmpty, "\(own.problems)")
      #expect(own.text.contains("attic") && own.text.contains("First verified result"))
      #expect(own.text.contains("No invitation is open"))
      #expect(own.headers[.cacheControl] == "no-store" && !own.body.contains(annKey))
      let script = try await client.page(path, headers: [.authorization: "Bearer \(annKey)"])
      #expect(script.status == 200)
      // A program is told in its own way, and a stream of a page needs the key as well.
      for accept in ["application/json", "text/event-stream"] {
        let refused = try await client.page(path, headers: [.accept: accept])
        #expect(refused.status == 401 && refused.body.contains("account_key_required"))
        #expect(refused.headers[.wwwAuthenticate] == "Bearer")
      }
      let redirect = try await client.page("/account", key: annKey)
      #expect(redirect.status == 303 && redirect.headers[.location] == path)
    }
    _ = try await coordinator.store.revokeAccountKeys(
      accountNamed: "ann", now: TestDashboard.start)
    try await coordinator.test { client in
      let revoked = try await client.page(path, key: annKey)
      #expect(revoked.status == 401)
    }
  }

  @Test("signing in keeps the key in a cookie that scripts and other sites do not get")
  func signIn() async throws {
    let coordinator = try await TestDashboard()
    let ann = try await coordinator.worker("attic", account: "ann")
    let key = try await coordinator.accountKey("ann")
    try await coordinator.test { client in
      #expect(try await client.page("/account").body.contains("action=\"/sign-in\""))
      let signed = try await client.form("/sign-in", "key=+\(key)%0A")
      #expect(signed.status == 303)
      #expect(signed.headers[.location] == "/accounts/\(ann.accountID)")
      #expect(
        signed.cookie == [
          "tally_account=\(key)", "Max-Age=2592000", "Path=/", "HttpOnly", "Secure",
          "SameSite=Strict",
        ])
      for (wrong, words) in [
        ("", "Type or paste"), ("tally-account-0000", "unknown here, or it was revoked"),
        ("tally-abc", "an API key submits jobs"), ("tally1.eyJh", "an invitation"),
        ("%22%3E%3Cb%3E", "not an account"),
      ] {
        let refused = try await client.form("/sign-in", "key=\(wrong)")
        #expect(refused.status == 401 && refused.text.contains(words), "\(refused.text)")
        #expect(refused.headers[.setCookie] == nil && refused.problems.isEmpty)
        #expect(!refused.body.contains("<b>") && (wrong.count < 8 || !refused.body.contains(wrong)))
      }
      let out = try await client.form("/sign-out", "", key: key)
      #expect(out.status == 303 && out.cookie.isSuperset(of: ["tally_account=", "Max-Age=0"]))
      #expect(try await client.page("/sign-in").status == 405)
    }
  }

  @Test("forms that another site sends, or that are no forms, are refused")
  func hostileForms() async throws {
    let coordinator = try await TestDashboard()
    _ = try await coordinator.worker("attic", account: "ann", isNamed: false)
    let key = try await coordinator.accountKey("ann")
    let site = HTTPField.Name("sec-fetch-site")!
    try await coordinator.test { client in
      for headers in [
        [site: "cross-site"], [site: "same-site"], [.origin: "https://evil.example"],
        [.origin: "null"],
      ] as [HTTPFields] {
        for path in ["/sign-in", "/sign-out", "/account"] {
          let refused = try await client.form(
            path, "public=yes&key=\(key)", key: key, headers: headers)
          #expect(refused.status == 403 && refused.headers[.setCookie] == nil, "\(path) \(headers)")
        }
      }
      let long = String(repeating: "x", count: Form.longest)
      #expect(try await client.form("/sign-in", "key=\(long)").status == 413)
      for body in ["key=%", "key=%4", "key=%zz", "key=%ff"] {
        #expect(try await client.form("/sign-in", body).status == 400)
      }
      #expect(try await client.form("/account", "public=yes").status == 401)
    }
    let accounts = try await coordinator.store.accounts()
    #expect(accounts.map(\.isNamed) == [false])
  }

  @Test("an owner gives and takes back consent on the account's page")
  func consentForm() async throws {
    let coordinator = try await TestDashboard()
    let ann = try await coordinator.worker("attic", account: "ann", isNamed: false)
    let key = try await coordinator.accountKey("ann")
    try await coordinator.test { client in
      let saved = try await client.form(
        "/account", "public=yes&team=Engines+%26+Co&country=&url=https%3A%2F%2Fexample.org",
        key: key)
      #expect(saved.status == 303)
      let page = try await client.page("/accounts/\(ann.accountID)?saved=yes", key: key)
      #expect(page.text.contains("Saved.") && page.problems.isEmpty)
      #expect(page.body.contains("value=\"Engines &amp; Co\"") && page.body.contains(" checked>"))
      #expect(try await client.page("/leaderboard").text.contains("ann"))
      let wrong = try await client.form(
        "/account", "public=yes&team=T&country=&url=javascript%3Aalert(1)", key: key)
      #expect(
        wrong.status == 400 && wrong.text.contains("Nothing was changed. The url begins with"))
      #expect(wrong.problems.isEmpty && wrong.body.contains("value=\"T\""))
      #expect(try await client.form("/account", "team=&country=&url=", key: key).status == 303)
      let board = try await client.page("/leaderboard")
      #expect(!board.text.contains("ann") && !board.text.contains("Engines"))
    }
  }

  @Test("a worker's page is public when its account is, else its owner's alone")
  func workerPage() async throws {
    let coordinator = try await TestDashboard()
    let ann = try await coordinator.worker("attic", account: "ann")
    let bob = try await coordinator.worker("cellar", account: "secret-bob", isNamed: false)
    try await coordinator.contribute([ann, bob])
    let job = try await coordinator.submitJob(lines: 8)
    let lease = try #require(try await coordinator.lease(ann).first)
    _ = try await coordinator.store.heartbeat(
      lease: lease.id, worker: ann.id, flopsDone: lease.estimatedFlops / 4,
      now: TestDashboard.start)
    let key = try await coordinator.accountKey("secret-bob")
    try await coordinator.store.ban(
      .worker(bob.id), reason: "faulty <memory>", now: TestDashboard.start)
    try await coordinator.test { client in
      let page = try await client.page("/workers/\(ann.id)")
      #expect(page.status == 200 && page.problems.isEmpty, "\(page.problems)")
      #expect(page.text.contains("Worker attic Of ann"))
      #expect(page.text.contains("Computes ") && page.text.contains("25 %"))
      #expect(
        page.body.contains("/jobs/\(job)") && page.text.contains("confirmed by other machines"))
      let hidden = try await client.page("/workers/\(bob.id)")
      let none = try await client.page("/workers/worker_none")
      #expect(hidden.status == 404 && none.status == 404)
      #expect(
        hidden.text.replacing(bob.id, with: "ID") == none.text.replacing("worker_none", with: "ID"))
      let own = try await client.page("/workers/\(bob.id)?days=365", key: key)
      #expect(own.status == 200 && own.problems.isEmpty)
      #expect(own.text.contains("Only you and the operator see this page"))
      #expect(own.text.contains("the operator has banned it: faulty &lt;memory&gt;"))
    }
    _ = try await coordinator.store.changeAccount(
      named: "secret-bob", AccountChange(isNamed: true), now: TestDashboard.start)
    try await coordinator.test { client in
      // Why an operator banned a machine is for its owner.
      let banned = try await client.page("/workers/\(bob.id)")
      #expect(
        banned.text.contains("the operator has banned it.") && !banned.text.contains("faulty"))
    }
  }

  @Test("who did not agree is named on no page")
  func consentEverywhere() async throws {
    let coordinator = try await TestDashboard()
    let ann = try await coordinator.worker("attic", account: "ann")
    let marked = try await coordinator.worker(
      "MARKER-machine", account: "MARKER-owner", isNamed: false)
    try await coordinator.contribute([ann, marked], daysAgo: [0, 1])
    _ = try await coordinator.store.changeAccount(
      named: "MARKER-owner", AccountChange(team: "Engines", url: "https://MARKER.example"),
      now: TestDashboard.start)
    let job = try await coordinator.submitJob(lines: 8)
    let leases = try await coordinator.lease(marked)
    #expect(!leases.isEmpty)
    let paths =
      Self.everywhere + [
        "/jobs/\(job)", "/teams/1", "/workers/\(ann.id)", "/workers/\(marked.id)",
        "/accounts/\(marked.accountID)", "/leaderboard?by=average", "/leaderboard?by=tokens",
        "/stats",
      ]
    let key = try await coordinator.accountKey("ann")
    try await coordinator.test { client in
      for path in paths {
        for key in [nil, key] {
          let page = try await client.page(path, key: key)
          #expect(!page.body.contains("MARKER"), "\(path)")
          #expect(page.problems.isEmpty, "\(path): \(page.problems)")
          #expect(page.body.utf8.count < 150_000, "\(path)")
        }
      }
    }
  }

  @Test("without anybody the pages say so")
  func nobody() async throws {
    let coordinator = try await TestDashboard()
    try await coordinator.test { client in
      let page = try await client.page("/leaderboard")
      #expect(page.status == 200 && page.problems.isEmpty)
      #expect(
        page.text.contains("Nobody is named yet.") && page.text.contains("No account is in a team"))
      #expect(!page.body.contains("<svg"))
    }
  }

  @Test("the checker of pages sees what is wrong")
  func checker() {
    let wrong = [
      "<p><b>x</p></b>", "<p id=\"a\"></p><p id=\"a\"></p>", "<p style=\"x\"></p>", "<p", "<p>",
      "<label for=\"x\"></label>", "<a href=\"javascript:1\"></a>", "<p onclick=\"x\"></p>",
      "<p>{{x}}</p>",
      "<p class=\"a\" class=\"b\"></p>",
    ]
    for html in wrong { #expect(!HTMLCheck(html).problems.isEmpty, "\(html)") }
    #expect(
      HTMLCheck("<!doctype html><p id=\"a\" title=\"1>0\">x<br><img src=\"/x\"></p>").problems
        .isEmpty)
  }
}
