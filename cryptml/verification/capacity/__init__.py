"""What a deployment needs for so many clinics: the service's own queue, simulated with the times that a profile measured."""

from cryptml.verification.capacity.demand import Demand
from cryptml.verification.capacity.planning import CapacityPlan, CapacityRequest, plan_capacity

__all__ = ["CapacityPlan", "CapacityRequest", "Demand", "plan_capacity"]
