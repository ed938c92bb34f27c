"""A tenant has had what it may have, for good or for now."""

from __future__ import annotations

from cryptml_server.base.errors.root import ServerError


class QuotaExhausted(ServerError):
    """The tenant has had what it may have."""


class KeyQuotaExhausted(QuotaExhausted):
    """Further evaluation keys do not fit beside the tenant's others."""

    kind = "key-quota-used-up"


class QueryBudgetExhausted(QuotaExhausted):
    """The tenant has asked a segment as often as it may, ever."""

    kind = "query-budget-used-up"


class TooMany(ServerError):
    """The tenant has had what it may have for now."""


class DailyQuotaExhausted(TooMany):
    """Evaluations or uploads of this day are used up."""

    kind = "daily-quota-used-up"


class TooManyEvaluations(TooMany):
    """As many evaluations of the tenant wait or run as may at once."""

    kind = "too-many-evaluations-at-once"


class TooManyUploads(TooMany):
    """As many uploads of the tenant are unfinished as may be."""

    kind = "too-many-unfinished-uploads"


class TooManyJobs(TooMany):
    """The tenant keeps as many jobs as it may."""

    kind = "too-many-jobs"


class TooManyLostWorkers(TooMany):
    """Workers ended in the tenant's requests again and again."""

    kind = "too-many-lost-workers"


class TooManyStoppedEvaluations(TooMany):
    """Workers were ended again and again because the tenant gave up."""

    kind = "too-many-stopped-evaluations"
